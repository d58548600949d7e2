//! Windows: what is open when, and at the odd hours of a year.

use chrono::{DateTime, TimeDelta, Utc};

use super::Window;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn check_open(window: &str, cases: &[(&str, bool)]) {
    let parsed = Window::parse(window).unwrap();
    for (instant, open) in cases {
        assert_eq!(parsed.is_open(at(instant)), *open, "{window} at {instant}");
    }
}

fn check_next(window: &str, after: &str, expected: Option<&str>) {
    let parsed = Window::parse(window).unwrap();
    assert_eq!(
        parsed.next_change(at(after)),
        expected.map(at),
        "{window} after {after}"
    );
}

#[test]
fn working_hours_follow_the_clock_on_the_wall() {
    check_open(
        "Mon-Thu 08:00-16:00 Europe/Berlin",
        &[
            // Monday 23 November 2026, winter: UTC+1.
            ("2026-11-23T06:59:59Z", false),
            ("2026-11-23T07:00:00Z", true),
            ("2026-11-23T14:59:59.999Z", true),
            ("2026-11-23T15:00:00Z", false),
            // Thursday and Friday.
            ("2026-11-26T10:00:00Z", true),
            ("2026-11-27T10:00:00Z", false),
            // Summer: UTC+2.
            ("2026-07-06T06:00:00Z", true),
            ("2026-07-06T14:00:00Z", false),
        ],
    );
}

#[test]
fn without_days_every_day_and_without_zone_utc() {
    check_open(
        "09:00-10:00",
        &[
            ("2026-11-22T09:30:00Z", true),
            ("2026-11-22T10:00:00Z", false),
        ],
    );
}

#[test]
fn days_may_be_a_list_a_range_or_a_range_over_the_weekend() {
    let sunday = "2026-11-22T12:00:00Z";
    let tuesday = "2026-11-24T12:00:00Z";
    let friday = "2026-11-27T12:00:00Z";
    for (window, days) in [
        ("Sat,Sun 00:00-24:00", [true, false, false]),
        ("sat, sunday 00:00-24:00", [true, false, false]),
        ("Fri-Mon 00:00-24:00", [true, false, true]),
        ("Tue,Fri-Sat 00:00-24:00", [false, true, true]),
    ] {
        check_open(
            window,
            &[(sunday, days[0]), (tuesday, days[1]), (friday, days[2])],
        );
    }
}

#[test]
fn a_night_belongs_to_the_day_it_starts_on() {
    check_open(
        "Fri 22:00-04:00",
        &[
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T03:59:00Z", true),
            ("2026-11-28T04:00:00Z", false),
            ("2026-11-28T22:00:00Z", false),
            // The early hours of Friday belong to Thursday.
            ("2026-11-27T03:00:00Z", false),
        ],
    );
}

#[test]
fn several_windows_are_open_when_any_is() {
    check_open(
        "Mon 08:00-12:00; Mon 13:00-17:00 Europe/Berlin ;Tue 08:00-09:00",
        &[
            ("2026-11-23T11:59:00Z", true),
            ("2026-11-23T12:00:00Z", true),
            ("2026-11-23T16:00:00Z", false),
            ("2026-11-24T08:30:00Z", true),
        ],
    );
}

#[test]
fn hours_that_the_clock_skips_never_come() {
    // On 29 March 2026 Berlin goes from 02:00 to 03:00, at 01:00 UTC.
    check_open(
        "Sun 02:15-02:45 Europe/Berlin",
        &[("2026-03-29T00:59:00Z", false)],
    );
    check_next(
        "Sun 02:15-02:45 Europe/Berlin",
        "2026-03-29T00:00:00Z",
        Some("2026-04-05T00:15:00Z"),
    );
    // A window that begins in the skipped hour opens when the hour is over.
    check_next(
        "Sun 02:30-05:00 Europe/Berlin",
        "2026-03-29T00:00:00Z",
        Some("2026-03-29T01:00:00Z"),
    );
    // One that ends in it closes at the same instant.
    check_next(
        "Sun 01:00-02:30 Europe/Berlin",
        "2026-03-29T00:30:00Z",
        Some("2026-03-29T01:00:00Z"),
    );
}

#[test]
fn hours_that_the_clock_shows_twice_count_twice() {
    // On 25 October 2026 Berlin goes from 03:00 back to 02:00, at 01:00 UTC.
    let window = "Sun 02:15-02:45 Europe/Berlin";
    check_next(window, "2026-10-25T00:00:00Z", Some("2026-10-25T00:15:00Z"));
    check_next(window, "2026-10-25T00:15:00Z", Some("2026-10-25T00:45:00Z"));
    check_next(window, "2026-10-25T00:45:00Z", Some("2026-10-25T01:15:00Z"));
    check_next(window, "2026-10-25T01:15:00Z", Some("2026-10-25T01:45:00Z"));
    check_next(window, "2026-10-25T01:45:00Z", Some("2026-11-01T01:15:00Z"));
    // 02:30 comes back after 03:00 was never shown: open until the second 02:30 is over.
    check_next(
        "Sun 01:00-03:00 Europe/Berlin",
        "2026-10-25T00:30:00Z",
        Some("2026-10-25T02:00:00Z"),
    );
}

#[test]
fn the_next_change_is_strictly_later_and_really_a_change() {
    let window = "Mon-Thu 08:00-16:00";
    check_next(window, "2026-11-23T07:00:00Z", Some("2026-11-23T08:00:00Z"));
    check_next(window, "2026-11-23T08:00:00Z", Some("2026-11-23T16:00:00Z"));
    check_next(window, "2026-11-26T16:00:00Z", Some("2026-11-30T08:00:00Z"));
    check_next("00:00-24:00", "2026-11-23T07:00:00Z", None);
    check_next(
        "08:00-12:00; 12:00-18:00",
        "2026-11-23T09:00:00Z",
        Some("2026-11-23T18:00:00Z"),
    );
    check_next(
        "Sat-Sun 00:00-24:00",
        "2026-11-28T00:00:00Z",
        Some("2026-11-30T00:00:00Z"),
    );
}

#[test]
fn the_next_change_agrees_with_asking_every_minute() {
    for window in [
        "Mon-Fri 09:00-17:30 America/New_York",
        "Sat 23:30-02:30 Europe/Berlin; Sun 02:10-02:20 Europe/Berlin",
        "02:00-03:00 Australia/Lord_Howe",
        "Sun 00:00-24:00 America/Santiago",
    ] {
        let parsed = Window::parse(window).unwrap();
        // Both clock changes of the year lie in these weeks, in one zone or another.
        for start in [
            "2026-03-06T00:00:00Z",
            "2026-03-27T00:00:00Z",
            "2026-10-02T00:00:00Z",
        ] {
            let start = at(start);
            let mut expected = parsed.next_change(start);
            let mut open = parsed.is_open(start);
            for minute in 1..9 * 24 * 60 {
                let instant = start + TimeDelta::minutes(minute);
                if parsed.is_open(instant) != open {
                    assert_eq!(expected, Some(instant), "{window}");
                    expected = parsed.next_change(instant);
                    open = !open;
                }
            }
        }
    }
}

#[test]
fn a_mistake_is_refused_at_its_place_with_a_remedy() {
    for (text, place, message, help) in [
        ("", "", "empty window", "for example"),
        ("08:00-09:00;", "", "empty window", "for example"),
        ("Mon-Fri", "", "window without hours", "for example"),
        ("Europe/Berlin", "", "window without hours", "for example"),
        (
            "Mo-Fr 8-16",
            "Mo",
            "unknown day `Mo`",
            "did you mean `mon`?",
        ),
        (
            "Mon-Fri 8-16",
            "8-16",
            "expected hours such as `08:00-16:00`, found `8-16`",
            "for example",
        ),
        (
            "8-16 Europe/Berlin",
            "8-16",
            "expected hours",
            "for example",
        ),
        (
            "Mom 08:00-09:00",
            "Mom",
            "unknown day `Mom`",
            "did you mean `mon`?",
        ),
        (
            "Mon-Frx 08:00-09:00",
            "Frx",
            "unknown day `Frx`",
            "did you mean `fri`?",
        ),
        ("Mon,,Tue 08:00-09:00", "", "unknown day ``", "days are"),
        ("08:00", "08:00", "expected hours", "for example"),
        ("8:00-09:00", "8:00", "`8:00` is no time of day", "`24:00`"),
        (
            "08:00-24:01",
            "24:01",
            "`24:01` is no time of day",
            "`24:00`",
        ),
        (
            "08:00-08:60",
            "08:60",
            "`08:60` is no time of day",
            "`24:00`",
        ),
        (
            "08:00-08:00",
            "08:00-08:00",
            "`08:00-08:00` has no length",
            "`00:00-24:00`",
        ),
        (
            "24:00-01:00",
            "24:00",
            "`24:00` is no time of day",
            "`24:00`",
        ),
        (
            "08:00-09:00 Europe/Belrin",
            "Europe/Belrin",
            "unknown time zone `Europe/Belrin`",
            "did you mean `Europe/Berlin`?",
        ),
        (
            "08:00-16:00 Mon-Thu UTC",
            "Mon-Thu",
            "unknown time zone `Mon-Thu`",
            "days stand before the hours",
        ),
        (
            "08:00-09:00 UTC daily",
            "daily",
            "unexpected `daily`",
            "`;`",
        ),
    ] {
        let error = Window::parse(text).unwrap_err();
        assert_eq!(text.get(error.span()), Some(place), "{text}");
        assert!(error.to_string().starts_with(message), "{text}: {error}");
        assert!(error.help().contains(help), "{text}: {}", error.help());
    }
}
