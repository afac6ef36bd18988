// Prints a line for each day of 2024 to 2032 on which the calendar on standard input has an event, as npm's
// ical.js reads it: the day, the length in days, the title.
const { readFileSync } = require('node:fs');
const ICAL = require('ical.js').default ?? require('ical.js');

const calendar = new ICAL.Component(ICAL.parse(readFileSync(0, 'utf8')));
for (const component of calendar.getAllSubcomponents('vevent')) {
    const event = new ICAL.Event(component);
    const days = event.iterator();
    for (let day = days.next(); day && day.year <= 2032; day = days.next()) {
        if (2024 <= day.year) console.log(day.toString(), event.duration.toSeconds() / 86400, event.summary);
    }
}
