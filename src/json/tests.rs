use std::error::Error;

use proptest::prelude::*;

use super::*;

type Done = Result<(), Box<dyn Error>>;

struct Sample {
    text: String,
    number: u64,
    time: f64,
    list: Vec<Option<bool>>,
    left_out: bool,
}

json_object!(Sample { text, number, time, list } without { left_out });

fn sample(text: &str) -> Sample {
    Sample {
        text: text.to_owned(),
        number: u64::MAX,
        time: 70.0,
        list: vec![Some(true), None],
        left_out: true,
    }
}

#[test]
fn an_object_has_its_fields_in_their_order() {
    let expected = r#"{"text":"a\"b\\\n\u0001ü","number":18446744073709551615,"time":70.0,"list":[true,null]}"#;
    let sample = sample("a\"b\\\n\u{1}ü");
    assert!(sample.left_out);
    assert_eq!(to_json(&sample), expected);
    assert_eq!(to_json(&Vec::<String>::new()), "[]");
    let mut empty = JsonText::default();
    empty.object(&[]);
    assert_eq!(empty.0, "{}");
}

#[test]
fn what_is_written_is_read() -> Done {
    let mut members = JsonMembers::parse(&to_json(&sample(" a\t\u{7f}")))?;
    assert_eq!(members.needed::<String>("text")?, " a\t\u{7f}");
    assert_eq!(members.needed::<u64>("number")?, u64::MAX);
    assert_eq!(members.needed::<f64>("time")?.to_bits(), 70.0_f64.to_bits());
    assert_eq!(members.given::<u64>("none")?, None);
    assert_eq!(members.needed::<u64>("none"), Err(JsonError::Value("none")));
    assert_eq!(
        members.clone().end(),
        Err(JsonError::Unknown("list".into()))
    );
    assert_eq!(members.needed::<u64>("list"), Err(JsonError::Value("list")));
    assert_eq!(members.end(), Ok(()));
    Ok(())
}

#[test]
fn what_is_not_json_is_not_read() {
    for text in [
        "",
        "{",
        "[1",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\n\"",
        "nul",
        "+1",
        "1e400",
        "inf",
        "NaN",
        "-",
        "1 2",
        "[1]]",
        "'a'",
    ] {
        assert!(Json::parse(text).is_err(), "{text}");
        assert!(
            serde_json::from_str::<serde_json::Value>(text).is_err(),
            "{text}"
        );
    }
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Json::parse(&deep(16)).is_ok() && Json::parse(&deep(17)).is_err());
    assert!(Json::parse(&"[".repeat(1 << 20)).is_err());
}

/// What another implementation reads of a value.
fn as_value(value: &Json) -> Result<serde_json::Value, serde_json::Error> {
    Ok(match value {
        Json::Word(text) => serde_json::from_str(text)?,
        Json::Number(text) => serde_json::from_str(text)?,
        Json::Text(text) => text.as_str().into(),
        Json::List(values) => values
            .iter()
            .map(as_value)
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        Json::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| Ok((name.clone(), as_value(value)?)));
            serde_json::Value::Object(members.collect::<Result<_, serde_json::Error>>()?)
        }
    })
}

proptest! {
    #[test]
    fn another_implementation_writes_the_same(text in any::<String>(), number: u64, hundredths: u32) {
        prop_assert_eq!(to_json(&text), serde_json::to_string(&text)?);
        prop_assert_eq!(to_json(&number), serde_json::to_string(&number)?);
        // As uptime has it.
        let time = f64::from(hundredths) / 100.0;
        prop_assert_eq!(to_json(&time), serde_json::to_string(&time)?);
    }

    #[test]
    fn another_implementation_reads_the_same(text in "[\\[\\]{}:,\"\\\\ntruefalse0-9.e\\- ü]{0,24}") {
        let read = Json::parse(&text);
        let expected: Result<serde_json::Value, _> = serde_json::from_str(&text);
        // A number that begins with 0 or ends with a point is no harm.
        if let Ok(expected) = expected {
            prop_assert_eq!(as_value(&read?)?, expected);
        }
    }
}
