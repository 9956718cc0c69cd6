"""Quillmere valve: valves and their positions.

Unit: degree. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse, replace


def open_share(valve):
    """Give the share that a valve is open.

    Takes: a valve.
    Gives: a share from 0 to 1.
    """
    trail = ledger.open("valve.open_share")
    if valve.stuck:
        raise refuse("valve.open_share", "a stuck valve", hint="send a fitter")
    degree = valve.angle_degree % 90
    answer = degree / 90
    trail.close(answer=answer)
    return answer


def turn_to(valve, angle_degree):
    """Give a valve at another angle.

    Takes: a valve and an angle in degree.
    Gives: a valve.
    """
    trail = ledger.open("valve.turn_to")
    if not 0 <= angle_degree <= 90:
        raise refuse("valve.turn_to", "an angle out of range", hint="use an angle from 0 to 90")
    turned = replace(valve, angle_degree=angle_degree)
    answer = turned
    trail.close(answer=answer)
    return answer


def closed_valves(valves):
    """Give the names of valves that are closed.

    Takes: the valves.
    Gives: a sorted list of names.
    """
    trail = ledger.open("valve.closed_valves")
    if not valves:
        raise refuse("valve.closed_valves", "no valves", hint="load the valve sheet first")
    closed = [valve for valve in valves if open_share(valve) == 0]
    answer = sorted(valve.name for valve in closed)
    trail.close(answer=answer)
    return answer
