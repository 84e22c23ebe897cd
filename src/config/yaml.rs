//! Where a key stands in a YAML text.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

/// Why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotYaml {
    /// Counted from 1.
    pub(super) line: usize,
    /// The parser's word for it.
    pub(super) problem: String,
}

/// The keys of a YAML text and their lines.
pub(super) struct Lines<'a> {
    root: Option<MarkedYaml<'a>>,
}

impl<'a> Lines<'a> {
    /// Reads the text; refuses what is not YAML, and a key that occurs twice.
    pub(super) fn read(text: &'a str) -> Result<Self, NotYaml> {
        let mut documents = MarkedYaml::load_from_str(text).map_err(|error| NotYaml {
            line: error.marker().line().max(1),
            problem: error.info().to_owned(),
        })?;
        let root = if documents.is_empty() { None } else { Some(documents.swap_remove(0)) };
        Ok(Self { root })
    }

    /// The line of the deepest key of `path` that is there; `None` if not even the first is.
    pub(super) fn of(&self, path: &str) -> Option<usize> {
        let mut node = self.root.as_ref()?;
        let mut line = None;
        for step in steps(path) {
            let Some((found, child)) = descend(node, step) else { break };
            line = Some(found);
            node = child;
        }
        line
    }

    /// A scalar or a flow collection as JSON: how the text of an environment variable is read.
    pub(super) fn value(&self) -> Option<serde_json::Value> {
        self.root.as_ref().and_then(json)
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Splits `sip.listen[0].address`.
fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[', ']']).filter(|part| !part.is_empty()).map(|part| match part.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key(part),
    })
}

fn descend<'n, 'a>(node: &'n MarkedYaml<'a>, step: Step<'_>) -> Option<(usize, &'n MarkedYaml<'a>)> {
    match (&node.data, step) {
        (YamlData::Mapping(entries), Step::Key(wanted)) => entries
            .iter()
            .find(|(key, _)| text_of(key).is_some_and(|text| text == wanted))
            .map(|(key, value)| (key.span.start.line(), value)),
        (YamlData::Sequence(items), Step::Index(index)) => {
            items.get(index).map(|item| (item.span.start.line(), item))
        }
        _ => None,
    }
}

fn text_of<'n>(node: &'n MarkedYaml<'_>) -> Option<&'n str> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) | YamlData::Representation(text, _, _) => Some(text),
        _ => None,
    }
}

fn json(node: &MarkedYaml<'_>) -> Option<serde_json::Value> {
    use serde_json::Value;
    Some(match &node.data {
        YamlData::Value(Scalar::Null) => Value::Null,
        YamlData::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        YamlData::Value(Scalar::Integer(value)) => Value::from(*value),
        YamlData::Value(Scalar::FloatingPoint(value)) => Value::from(value.into_inner()),
        YamlData::Value(Scalar::String(text)) | YamlData::Representation(text, _, _) => {
            Value::String(text.clone().into_owned())
        }
        YamlData::Sequence(items) => Value::Array(items.iter().map(json).collect::<Option<_>>()?),
        YamlData::Mapping(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| Some((text_of(key)?.to_owned(), json(value)?)))
                .collect::<Option<_>>()?,
        ),
        YamlData::Tagged(..) | YamlData::Alias(_) | YamlData::BadValue => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\nnode:\n  domain: example.com\nsip:\n  listen:\n    - transport: udp\n      address: x\n    - transport: tcp\n";

    #[test]
    fn a_key_is_found_by_its_path() {
        let lines = Lines::read(TEXT).unwrap();
        assert_eq!(lines.of("node.domain"), Some(3));
        assert_eq!(lines.of("sip.listen[0].address"), Some(7));
        assert_eq!(lines.of("sip.listen[1].transport"), Some(8));
    }

    #[test]
    fn a_missing_key_is_shown_at_its_parent() {
        let lines = Lines::read(TEXT).unwrap();
        assert_eq!(lines.of("sip.listen[1].address"), Some(8));
        assert_eq!(lines.of("tls.certificate"), None);
    }

    #[test]
    fn broken_yaml_and_doubled_keys_name_their_line() {
        assert_eq!(Lines::read("node:\n  domain: [a\nsip: 1\n").err().map(|e| e.line > 1), Some(true));
        assert_eq!(Lines::read("a: 1\nb: 2\na: 3\n").err().map(|e| e.line), Some(3));
    }
}
