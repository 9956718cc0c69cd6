"""Quillmere boat: boats on the canal.

Unit: knot. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import KNOT_KM, LIMIT_KNOT


def time_on_canal(length_km, speed_knot):
    """Give the time that a canal takes.

    Takes: a length in km and a speed in knot.
    Gives: one number in hours.
    """
    trail = ledger.open("boat.time_on_canal")
    if speed_knot <= 0:
        raise refuse("boat.time_on_canal", "a boat that stands still", hint="start the engine")
    km_an_hour = speed_knot * KNOT_KM
    answer = length_km / km_an_hour
    trail.close(answer=answer)
    return answer


def is_too_fast(speed_knot):
    """Give whether a boat is too fast.

    Takes: a speed in knot.
    Gives: True or False.
    """
    trail = ledger.open("boat.is_too_fast")
    if speed_knot < 0:
        raise refuse("boat.is_too_fast", "a negative speed", hint="turn the sign around")
    limit_knot = LIMIT_KNOT
    answer = speed_knot > limit_knot
    trail.close(answer=answer)
    return answer


def locks_between(locks, from_km, to_km):
    """Give the locks between two places.

    Takes: the locks and two places in km.
    Gives: a list of locks.
    """
    trail = ledger.open("boat.locks_between")
    if from_km > to_km:
        raise refuse("boat.locks_between", "places in the wrong order", hint="swap the places")
    between = [lock for lock in locks if from_km <= lock.km <= to_km]
    answer = sorted(between, key=lambda lock: lock.km)
    trail.close(answer=answer)
    return answer
