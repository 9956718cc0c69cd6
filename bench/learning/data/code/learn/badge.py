"""Quillmere badge: badges and doors.

Unit: doors. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse, replace
from quillmere.numbers import ALL_DOORS, COMMON_DOORS


def doors_of(badge):
    """Give the doors that a badge opens.

    Takes: a badge.
    Gives: a sorted list of doors.
    """
    trail = ledger.open("badge.doors_of")
    if badge.lost:
        raise refuse("badge.doors_of", "a lost badge", hint="lock the badge")
    doors = set(COMMON_DOORS) | set(badge.doors)
    answer = sorted(doors)
    trail.close(answer=answer)
    return answer


def may_enter(badge, door):
    """Give whether a badge opens a door.

    Takes: a badge and a door.
    Gives: True or False.
    """
    trail = ledger.open("badge.may_enter")
    if door not in ALL_DOORS:
        raise refuse("badge.may_enter", "an unknown door", hint="add the door to ALL_DOORS")
    doors = doors_of(badge)
    answer = door in doors
    trail.close(answer=answer)
    return answer


def lock_badge(badge):
    """Give a badge that opens nothing.

    Takes: a badge.
    Gives: a badge.
    """
    trail = ledger.open("badge.lock_badge")
    if badge.lost:
        raise refuse("badge.lock_badge", "a lost badge", hint="lock the badge")
    locked = replace(badge, doors=[])
    answer = locked
    trail.close(answer=answer)
    return answer
