"""Prints a line for each day of 2024 to 2032 on which the calendar on standard input has an event, as
PyPI's icalendar and dateutil read it: the day, the length in days, the title."""

import sys

import icalendar
import recurring_ical_events

calendar = icalendar.Calendar.from_ical(sys.stdin.buffer.read())
for event in recurring_ical_events.of(calendar).between((2024, 1, 1), (2033, 1, 1)):
    start, end = event["DTSTART"].dt, event["DTEND"].dt
    print(start.isoformat(), (end - start).days, event["SUMMARY"])
