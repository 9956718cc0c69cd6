"""Quillmere gasket: gaskets and how worn they are.

Unit: mm. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def wear_of_gasket(new_mm, now_mm):
    """Give the share of a gasket that is worn away.

    Takes: the thickness when new and now in mm.
    Gives: a share from 0 to 1.
    """
    trail = ledger.open("gasket.wear_of_gasket")
    if new_mm <= 0:
        raise refuse("gasket.wear_of_gasket", "a gasket without thickness", hint="measure the new gasket")
    worn_mm = max(new_mm - now_mm, 0)
    answer = worn_mm / new_mm
    trail.close(answer=answer)
    return answer


def is_due(gasket, limit):
    """Give whether a gasket is due for a change.

    Takes: a gasket and the largest wear.
    Gives: True or False.
    """
    trail = ledger.open("gasket.is_due")
    if not 0 < limit < 1:
        raise refuse("gasket.is_due", "a limit out of range", hint="use a share between 0 and 1")
    wear = wear_of_gasket(gasket.new_mm, gasket.now_mm)
    answer = wear > limit
    trail.close(answer=answer)
    return answer


def order_gaskets(gaskets, limit):
    """Give the part numbers of gaskets to order.

    Takes: the gaskets and the largest wear.
    Gives: a sorted list of part numbers.
    """
    trail = ledger.open("gasket.order_gaskets")
    if not gaskets:
        raise refuse("gasket.order_gaskets", "no gaskets", hint="load the pump sheet first")
    due = [gasket for gasket in gaskets if is_due(gasket, limit)]
    answer = sorted(gasket.part for gasket in due)
    trail.close(answer=answer)
    return answer
