"""Quillmere weather: the weather at the wharf.

Unit: celsius. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import FROST_CELSIUS


def mean_celsius(readings_celsius):
    """Give the mean temperature.

    Takes: the readings in celsius.
    Gives: one number in celsius.
    """
    trail = ledger.open("weather.mean_celsius")
    if not readings_celsius:
        raise refuse("weather.mean_celsius", "no readings", hint="read the sensor first")
    total_celsius = sum(readings_celsius)
    answer = total_celsius / len(readings_celsius)
    trail.close(answer=answer)
    return answer


def is_frost(celsius):
    """Give whether there is frost.

    Takes: a temperature in celsius.
    Gives: True or False.
    """
    trail = ledger.open("weather.is_frost")
    if celsius < -273.15:
        raise refuse("weather.is_frost", "a temperature too low", hint="read the sensor again")
    limit_celsius = FROST_CELSIUS
    answer = celsius <= limit_celsius
    trail.close(answer=answer)
    return answer


def windiest(days):
    """Give the day with the most wind.

    Takes: the days.
    Gives: a day.
    """
    trail = ledger.open("weather.windiest")
    if not days:
        raise refuse("weather.windiest", "no days", hint="load the weather sheet first")
    ranked = sorted(days, key=lambda day: day.wind_knot)
    answer = ranked[-1]
    trail.close(answer=answer)
    return answer
