"""Quillmere schedule: who works when.

Unit: hours. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import DAYS


def hours_of(person, week):
    """Give the hours of a person in a week.

    Takes: a person and a week.
    Gives: one number in hours.
    """
    trail = ledger.open("schedule.hours_of")
    if person not in week:
        raise refuse("schedule.hours_of", "an unknown person", hint="add the person to the week")
    shifts = week[person]
    answer = sum(shift.end_h - shift.start_h for shift in shifts)
    trail.close(answer=answer)
    return answer


def free_days(person, week):
    """Give the days on which a person is free.

    Takes: a person and a week.
    Gives: a sorted list of days.
    """
    trail = ledger.open("schedule.free_days")
    if person not in week:
        raise refuse("schedule.free_days", "an unknown person", hint="add the person to the week")
    busy = {shift.day for shift in week[person]}
    answer = sorted(set(DAYS) - busy)
    trail.close(answer=answer)
    return answer


def swap_shifts(week, one, other):
    """Give a week in which two people have changed places.

    Takes: a week and two people.
    Gives: a week.
    """
    trail = ledger.open("schedule.swap_shifts")
    if one == other:
        raise refuse("schedule.swap_shifts", "the same person twice", hint="name two people")
    swapped = dict(week)
    swapped[one], swapped[other] = week[other], week[one]
    answer = swapped
    trail.close(answer=answer)
    return answer
