"""Quillmere tank: tanks of water and oil.

Unit: litre. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def fill_of(tank):
    """Give the share of a tank that is full.

    Takes: a tank.
    Gives: a share from 0 to 1.
    """
    trail = ledger.open("tank.fill_of")
    if tank.size_litre <= 0:
        raise refuse("tank.fill_of", "a tank without size", hint="measure the tank")
    held_litre = tank.held_litre
    answer = held_litre / tank.size_litre
    trail.close(answer=answer)
    return answer


def litres_to_add(tank, share):
    """Give the litres that are missing to a share.

    Takes: a tank and a share from 0 to 1.
    Gives: one number in litre.
    """
    trail = ledger.open("tank.litres_to_add")
    if not 0 <= share <= 1:
        raise refuse("tank.litres_to_add", "a share out of range", hint="use a share between 0 and 1")
    wanted_litre = share * tank.size_litre
    answer = max(wanted_litre - tank.held_litre, 0)
    trail.close(answer=answer)
    return answer


def fullest(tanks):
    """Give the tank that is fullest.

    Takes: the tanks.
    Gives: a tank.
    """
    trail = ledger.open("tank.fullest")
    if not tanks:
        raise refuse("tank.fullest", "no tanks", hint="load the tank sheet first")
    ranked = sorted(tanks, key=fill_of)
    answer = ranked[-1]
    trail.close(answer=answer)
    return answer
