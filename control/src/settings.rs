//! Settings in one word of the command line: `BACKEND:WHERE[,KEY=VALUE...]`.
//!
//! They become JSON and are read by the same types that read a plan, so that names, units,
//! defaults and checks are the plan's.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads a backend with its settings; `place_key` names the key of WHERE, or no such backend.
///
/// # Errors
/// What is wrong, in one sentence.
pub(crate) fn spec<T: DeserializeOwned>(
    given: &str,
    place_key: impl FnOnce(&str, &str) -> Option<&'static str>,
) -> Result<T, String> {
    let (backend, rest) = given.split_once(':').ok_or("it has no `:`")?;
    let (place, settings) = rest.split_once(',').unwrap_or((rest, ""));
    let key = place_key(backend, place).ok_or_else(|| format!("no backend is called {backend}"))?;
    let mut fields = Map::new();
    if !place.is_empty() {
        // Interfaces and files may have names that look like numbers; frame sizes are numbers.
        let value = match place.parse::<u32>() {
            Ok(number) if key.ends_with("frame_size") => number.into(),
            _ => place.into(),
        };
        set_field(&mut fields, key, value)?;
    }
    set_fields(&mut fields, settings)?;
    let spec = Value::Object(Map::from_iter([(backend.to_owned(), Value::Object(fields))]));
    serde_json::from_value(spec).map_err(|error| error.to_string())
}

/// Adds `KEY=VALUE` pairs, separated by commas; a dot in a key enters an object. A value may be
/// a list or an object in JSON.
///
/// # Errors
/// What is wrong, in one sentence.
pub(crate) fn set_fields(fields: &mut Map<String, Value>, settings: &str) -> Result<(), String> {
    for pair in pairs(settings).map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        let value = value.trim();
        // Numbers, booleans and lists as JSON has them; everything else is text.
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        set_field(fields, key.trim(), value)?;
    }
    Ok(())
}

/// Splits at commas outside brackets.
fn pairs(settings: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    settings.split(move |letter| {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
}

fn set_field(fields: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), String> {
    let mut path: Vec<&str> = key.split('.').collect();
    let last = path.pop().unwrap_or_default();
    let mut at = fields;
    for step in path {
        let group = at.entry(step).or_insert_with(|| Value::Object(Map::new()));
        at = group.as_object_mut().ok_or_else(|| format!("{step} is set twice"))?;
    }
    if at.insert(last.to_owned(), value).is_some() {
        return Err(format!("{key} is set twice"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &str) -> Result<Value, String> {
        spec(given, |backend, _| (backend == "eth").then_some("interface"))
    }

    #[test]
    fn pairs_become_json() {
        assert_eq!(
            read("eth:7,queues=[0,1],fanout.mode=hash,on=true"),
            Ok(serde_json::json!({"eth": {
                "interface": "7", "queues": [0, 1], "fanout": {"mode": "hash"}, "on": true
            }}))
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (given, why) in [
            ("eth", "no `:`"),
            ("eht:x", "no backend is called eht"),
            ("eth:x,queues", "`queues` is not KEY=VALUE"),
            ("eth:x,interface=y", "set twice"),
            ("eth:x,a=1,a.b=2", "set twice"),
        ] {
            assert!(read(given).unwrap_err().contains(why), "{given}");
        }
    }
}
