//! JSON as Java's AdminServer prints it: members in their order, two blanks a level, ` : ` between name and value, lists
//! of plain values on one line. Answers to Jackson's `DefaultPrettyPrinter`.

use std::fmt::Write;

use super::java_text::Double;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// Members in the order in which they were put.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(Vec<(String, Json)>);

impl Object {
    pub fn put(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        self.0.push((name.into(), value.into()));
    }

    pub fn with(mut self, name: impl Into<String>, value: impl Into<Json>) -> Object {
        self.put(name, value);
        self
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn print(&self) -> String {
        let mut out = String::new();
        object(self, 0, &mut out);
        out
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Json {
        Json::Int(value)
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Json {
        Json::Int(value.into())
    }
}

/// A number that Java would not reach is its greatest.
impl From<u64> for Json {
    fn from(value: u64) -> Json {
        Json::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Json {
        Json::from(value as u64)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Json {
        Json::Double(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Json {
        Json::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Json {
        Json::Text(value)
    }
}

impl From<Object> for Json {
    fn from(value: Object) -> Json {
        Json::Object(value)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Json {
        Json::List(values.into_iter().map(Into::into).collect())
    }
}

fn value(value: &Json, depth: usize, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Int(value) => write!(out, "{value}").expect("a String takes everything"),
        // Numbers that JSON cannot have are texts.
        Json::Double(value) if !value.is_finite() => {
            write!(out, "\"{}\"", Double(*value)).expect("a String takes everything");
        }
        Json::Double(value) => {
            write!(out, "{}", Double(*value)).expect("a String takes everything")
        }
        Json::Text(value) => text(value, out),
        Json::List(values) => list(values, depth, out),
        Json::Object(members) => object(members, depth, out),
    }
}

fn list(values: &[Json], depth: usize, out: &mut String) {
    out.push_str("[ ");
    for (at, one) in values.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        value(one, depth, out);
        if at + 1 == values.len() {
            out.push(' ');
        }
    }
    out.push(']');
}

fn object(members: &Object, depth: usize, out: &mut String) {
    if members.is_empty() {
        return out.push_str("{ }");
    }
    out.push('{');
    for (at, (name, member)) in members.0.iter().enumerate() {
        out.push_str(if at > 0 { ",\n" } else { "\n" });
        indent(depth + 1, out);
        text(name, out);
        out.push_str(" : ");
        value(member, depth + 1, out);
    }
    out.push('\n');
    indent(depth, out);
    out.push('}');
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                write!(out, "\\u{:04X}", c as u32).expect("a String takes everything");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_as_jackson_prints_it() {
        let inner = Object::default().with("zxid", 1i64).with("x", Json::Null);
        let all = Object::default()
            .with("text", "a \"b\" \\ /\n\t\u{1}\u{e4}")
            .with("yes", true)
            .with("avg", 0.0)
            .with("nan", f64::NAN)
            .with("none", Vec::<Json>::new())
            .with("no_members", Object::default())
            .with("ids", vec![1i64, -2])
            .with("objects", vec![inner.clone(), inner.clone()])
            .with("within", Object::default().with("list", vec![inner]));
        let expected = r#"{
  "text" : "a \"b\" \\ /\n\t\u0001ä",
  "yes" : true,
  "avg" : 0.0,
  "nan" : "NaN",
  "none" : [ ],
  "no_members" : { },
  "ids" : [ 1, -2 ],
  "objects" : [ {
    "zxid" : 1,
    "x" : null
  }, {
    "zxid" : 1,
    "x" : null
  } ],
  "within" : {
    "list" : [ {
      "zxid" : 1,
      "x" : null
    } ]
  }
}"#;
        assert_eq!(all.print(), expected);
    }
}
