//! What chat templates call and Jinja does not have: `raise_exception`, `strftime_now`, and `tojson` as Python writes it.
//!
//! It knows nothing of conversations. Invariant: nothing here looks at a clock, so the same conversation has the same
//! tokens on every day; `strftime_now` tells the day that it was given.

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The year.
    pub year: i32,
    /// The month, from 1.
    pub month: u32,
    /// The day of the month, from 1.
    pub day: u32,
}

impl Day {
    /// The day that Llama 3's template names where it has no clock.
    pub const DEFAULT: Day = Day { year: 2024, month: 7, day: 26 };
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Adds the functions to an environment; `today` is what `strftime_now` tells.
pub fn add(environment: &mut Environment<'_>, today: Day) {
    environment.add_function("raise_exception", |reason: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, reason))
    });
    environment.add_function("strftime_now", move |format: String| strftime(today, &format));
    environment.add_filter("tojson", tojson);
}

/// The day written as `format` says; the time of day is midnight.
fn strftime(today: Day, format: &str) -> Result<String, Error> {
    let Day { year, month, day } = today;
    let month_name = MONTHS[(month as usize).clamp(1, 12) - 1];
    let weekday_name = WEEKDAYS[weekday(today)];
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match characters.next() {
            Some('Y') => text += &year.to_string(),
            Some('m') => text += &format!("{month:02}"),
            Some('d') => text += &format!("{day:02}"),
            Some('B') => text += month_name,
            Some('b') => text += &month_name[..3],
            Some('A') => text += weekday_name,
            Some('a') => text += &weekday_name[..3],
            Some('H' | 'M' | 'S') => text += "00",
            Some('%') => text.push('%'),
            other => {
                let code = other.map(String::from).unwrap_or_default();
                let reason = format!("strftime_now does not know `%{code}`");
                return Err(Error::new(ErrorKind::InvalidOperation, reason));
            }
        }
    }
    Ok(text)
}

/// Days since a Sunday, modulo 7 (Sakamoto's rule).
fn weekday(Day { year, month, day }: Day) -> usize {
    const SHIFTS: [i32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = if month < 3 { year - 1 } else { year };
    let shift = SHIFTS[(month as usize).clamp(1, 12) - 1];
    (year + year / 4 - year / 100 + year / 400 + shift + day as i32).rem_euclid(7) as usize
}

/// JSON with Python's spaces (`{"a": 1, "b": 2}`) and without HTML's escapes, or indented by `indent` spaces.
fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let mut json = Vec::new();
    let written = match indent {
        Some(indent) => {
            let spaces = vec![b' '; indent.min(16)];
            value.serialize(&mut Serializer::with_formatter(
                &mut json,
                PrettyFormatter::with_indent(&spaces),
            ))
        }
        None => {
            value.serialize(&mut Serializer::with_formatter(&mut json, Spaced(CompactFormatter)))
        }
    };
    let failed = |reason: String| Error::new(ErrorKind::BadSerialization, reason);
    written.map_err(|error| failed(error.to_string()))?;
    // What Python's writer escapes is already escaped: the text may be put into the conversation as it is.
    String::from_utf8(json).map(Value::from_safe_string).map_err(|error| failed(error.to_string()))
}

/// serde_json's compact form with a space after each comma and colon.
struct Spaced(CompactFormatter);

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_object_value(to).and_then(|()| to.write_all(b" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_asked() {
        let check = |year, month, day, format: &str, expected: &str| {
            assert_eq!(strftime(Day { year, month, day }, format).unwrap(), expected);
        };
        check(2024, 7, 26, "%d %b %Y", "26 Jul 2024");
        check(2024, 2, 29, "%A, %B %d: 100%%", "Thursday, February 29: 100%");
        check(2000, 1, 1, "%a %Y-%m-%d %H:%M:%S", "Sat 2000-01-01 00:00:00");
        check(1999, 12, 31, "%A", "Friday");
        assert!(strftime(Day::DEFAULT, "%Q").is_err() && strftime(Day::DEFAULT, "%").is_err());
    }
}
