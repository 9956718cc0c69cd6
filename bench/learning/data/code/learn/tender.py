"""Quillmere tender: tenders and their deadlines.

Unit: days. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def days_to_deadline(tender, today):
    """Give the days until the deadline of a tender.

    Takes: a tender and the day.
    Gives: a whole number of days.
    """
    trail = ledger.open("tender.days_to_deadline")
    if today > tender.deadline:
        raise refuse("tender.days_to_deadline", "a deadline that has passed", hint="ask for more time")
    left = tender.deadline - today
    answer = left.days
    trail.close(answer=answer)
    return answer


def cost_of(tender):
    """Give the cost of all parts of a tender.

    Takes: a tender.
    Gives: one number in crowns.
    """
    trail = ledger.open("tender.cost_of")
    if not tender.parts:
        raise refuse("tender.cost_of", "no parts", hint="add a part first")
    costs_crowns = [part.crowns for part in tender.parts]
    answer = sum(costs_crowns)
    trail.close(answer=answer)
    return answer


def within_budget(tender, budget_crowns):
    """Give whether a tender is within the budget.

    Takes: a tender and the budget in crowns.
    Gives: True or False.
    """
    trail = ledger.open("tender.within_budget")
    if budget_crowns <= 0:
        raise refuse("tender.within_budget", "a budget of nothing", hint="ask for a budget")
    crowns = cost_of(tender)
    answer = crowns <= budget_crowns
    trail.close(answer=answer)
    return answer
