//! Durations as a configuration and the command line write them: "15min", "1h30min", "500ms", "01:30:00", or "never".

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval(pub Option<Duration>);

/// Units with their milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let wrong =
            || format!("{text:?} is no duration: write \"15min\", \"1h30min\" or \"never\"");
        if text.contains(':') {
            return clock(text).map(|time| Self(Some(time))).ok_or_else(wrong);
        }
        let mut rest = text.trim();
        let mut total = 0_u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let scale = UNITS.iter().find(|u| u.0 == unit).ok_or_else(wrong)?.1;
            let number: u64 = number.parse().map_err(|_| wrong())?;
            total = number
                .checked_mul(scale)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(wrong)?;
            rest = tail.trim_start();
        }
        if total == 0 {
            return Err(wrong());
        }
        Ok(Self(Some(Duration::from_millis(total))))
    }
}

/// Returns the time that `text` gives as HH:MM:SS, of any number of hours; None where it gives none, or 0.
fn clock(text: &str) -> Option<Duration> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok()).flatten()
    };
    let numbers: Option<Vec<u64>> = text.trim().split(':').map(number).collect();
    match numbers?[..] {
        [h, m, s] if m < 60 && s < 60 && h < 1 << 40 && (h, m, s) != (0, 0, 0) => {
            Some(Duration::from_secs(h * 3600 + m * 60 + s))
        }
        _ => None,
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(duration) = self.0 else {
            return f.write_str("never");
        };
        let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        for (unit, scale) in UNITS {
            if left >= scale {
                write!(f, "{}{unit}", left / scale)?;
                left %= scale;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Interval {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_their_units_and_written_back() {
        for (text, millis) in [
            ("15min", 900_000),
            ("1h30min", 5_400_000),
            ("250ms", 250),
            ("2d", 172_800_000),
        ] {
            let interval: Interval = text.parse().unwrap();
            assert_eq!(interval.0, Some(Duration::from_millis(millis)));
            assert_eq!(interval.to_string(), text);
        }
        assert_eq!("never".parse(), Ok(Interval(None)));
        let clock: Interval = "100:30:05".parse().unwrap();
        assert_eq!(clock.to_string(), "4d4h30min5s");
        for wrong in [
            "",
            "15",
            "min",
            "0s",
            "-1s",
            "1.5h",
            "1week",
            "99999999999999999999s",
            "9999999999999999d",
            "00:00:00",
            "1:60:00",
            "1:30",
        ] {
            assert!(wrong.parse::<Interval>().is_err(), "{wrong}");
        }
    }
}
