"""Quillmere battery: batteries and their charge.

Unit: ampere hours. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def charge_of(battery):
    """Give the share of charge that a battery has.

    Takes: a battery.
    Gives: a share from 0 to 1.
    """
    trail = ledger.open("battery.charge_of")
    if battery.size_ah <= 0:
        raise refuse("battery.charge_of", "a battery without size", hint="read the plate again")
    held_ah = battery.held_ah
    answer = held_ah / battery.size_ah
    trail.close(answer=answer)
    return answer


def hours_left(battery, amperes):
    """Give the hours that a battery lasts.

    Takes: a battery and a current.
    Gives: one number in hours.
    """
    trail = ledger.open("battery.hours_left")
    if amperes <= 0:
        raise refuse("battery.hours_left", "no current", hint="switch the load on")
    held_ah = battery.held_ah
    answer = held_ah / amperes
    trail.close(answer=answer)
    return answer


def weakest(batteries):
    """Give the battery with the least charge.

    Takes: the batteries.
    Gives: a battery.
    """
    trail = ledger.open("battery.weakest")
    if not batteries:
        raise refuse("battery.weakest", "no batteries", hint="load the battery sheet first")
    ranked = sorted(batteries, key=charge_of)
    answer = ranked[0]
    trail.close(answer=answer)
    return answer
