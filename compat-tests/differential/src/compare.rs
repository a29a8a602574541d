//! Two transcripts of one script: where they part first.

use crate::play::{Entry, Transcript};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Difference {
    /// The same for differences that presumably have the same cause.
    pub signature: String,
    pub report: String,
}

/// Differences whose signature contains a text of `ignored` do not count.
pub fn compare(left: &Transcript, right: &Transcript, ignored: &[String]) -> Option<Difference> {
    for (step, (l, r)) in left.steps.iter().zip(&right.steps).enumerate() {
        for i in 0..l.len().max(r.len()) {
            let (a, b) = (l.get(i), r.get(i));
            if same(a, b) {
                continue;
            }
            let signature = signature(a, b);
            if !ignored.iter().any(|i| signature.contains(i.as_str())) {
                return Some(Difference {
                    signature,
                    report: report(step, a, b),
                });
            }
        }
    }
    None
}

fn same(a: Option<&Entry>, b: Option<&Entry>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.client == b.client && a.op == b.op && a.text == b.text)
}

fn signature(a: Option<&Entry>, b: Option<&Entry>) -> String {
    let (Some(a), Some(b)) = (a, b) else {
        return format!("only one side: {}", kind(a.or(b)));
    };
    if a.op != b.op || a.client != b.client {
        return format!("{} against {}", kind(Some(a)), kind(Some(b)));
    }
    let (err_a, err_b) = (word(&a.text, "err="), word(&b.text, "err="));
    if err_a != err_b {
        return format!(
            "{}: err {} against {}",
            a.op,
            err_a.unwrap_or(&a.text),
            err_b.unwrap_or(&b.text)
        );
    }
    let parts = |t: &str| t.split(' ').map(str::to_string).collect::<BTreeSet<_>>();
    let (pa, pb) = (parts(&a.text), parts(&b.text));
    let fields: BTreeSet<&str> = pa
        .symmetric_difference(&pb)
        .map(|w| w.split('=').next().unwrap_or(w))
        .collect();
    format!(
        "{}: err {}, fields {}",
        a.op,
        err_a.unwrap_or("-"),
        fields.into_iter().collect::<Vec<_>>().join(" ")
    )
}

fn kind(entry: Option<&Entry>) -> String {
    match entry {
        None => "nothing".into(),
        Some(e) if e.op == "notification" => {
            format!("notification {}", word(&e.text, "type=").unwrap_or("?"))
        }
        Some(e) => format!("{} {}", e.op, word(&e.text, "err=").unwrap_or(&e.text)),
    }
}

fn word<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split(' ').find_map(|w| w.strip_prefix(key))
}

fn report(step: usize, a: Option<&Entry>, b: Option<&Entry>) -> String {
    let line = |e: Option<&Entry>| match e {
        Some(e) => format!(
            "client {} {} {}\n           {}",
            e.client, e.op, e.cause, e.text
        ),
        None => "nothing".into(),
    };
    format!(
        "  step {step}\n    left:  {}\n    right: {}\n",
        line(a),
        line(b)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::entry_for_tests as entry;

    #[test]
    fn finds_a_missing_notification_and_a_changed_field() {
        let t = |entries| Transcript {
            steps: vec![entries],
        };
        let (a, n) = (
            entry("getData", "xid=1 zxid=+1 err=0 version=1"),
            entry("notification", "type=1 path=x"),
        );
        assert!(compare(&t(vec![a.clone()]), &t(vec![a.clone()]), &[]).is_none());
        let found = compare(&t(vec![n, a.clone()]), &t(vec![a.clone()]), &[]);
        assert_eq!(
            found.map(|d| d.signature).as_deref(),
            Some("notification 1 against getData 0")
        );
        let b = entry("getData", "xid=1 zxid=+1 err=0 version=2");
        let found = compare(&t(vec![a]), &t(vec![b]), &[]);
        assert_eq!(
            found.map(|d| d.signature).as_deref(),
            Some("getData: err 0, fields version")
        );
    }
}
