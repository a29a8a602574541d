//! JSON as Java's AdminServer prints it: two blanks a level, ` : ` between name and value, lists of plain values on one
//! line. Answers to Jackson's `DefaultPrettyPrinter`.

use std::fmt::Write;

use super::java_text::Double;
use crate::json::{self, Json, Object};

pub fn print(members: &Object) -> String {
    let mut out = String::new();
    object(members, 0, &mut out);
    out
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
    for (at, (name, member)) in members.members().enumerate() {
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
    json::quoted(out, text).expect("a String takes everything");
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
        assert_eq!(print(&all), expected);
    }
}
