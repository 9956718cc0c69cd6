"""Quillmere sensor: sensors in the dam.

Unit: celsius. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import STALE_S


def coldest(sensors):
    """Give the sensor that is coldest.

    Takes: the sensors.
    Gives: a sensor.
    """
    trail = ledger.open("sensor.coldest")
    if not sensors:
        raise refuse("sensor.coldest", "no sensors", hint="load the sensor sheet first")
    ranked = sorted(sensors, key=lambda sensor: sensor.celsius)
    answer = ranked[0]
    trail.close(answer=answer)
    return answer


def flag_of(sensor, now_s):
    """Give the flag of a sensor.

    Takes: a sensor and the time in s.
    Gives: a word.
    """
    trail = ledger.open("sensor.flag_of")
    if now_s < sensor.read_s:
        raise refuse("sensor.flag_of", "a time before the reading", hint="check the clock")
    age_s = now_s - sensor.read_s
    answer = "amber" if age_s > STALE_S else "clear"
    trail.close(answer=answer)
    return answer


def kelvin_of(celsius):
    """Give a temperature in kelvin.

    Takes: a temperature in celsius.
    Gives: one number in kelvin.
    """
    trail = ledger.open("sensor.kelvin_of")
    if celsius < -273.15:
        raise refuse("sensor.kelvin_of", "a temperature too low", hint="read the sensor again")
    kelvin = celsius + 273.15
    answer = round(kelvin, 2)
    trail.close(answer=answer)
    return answer
