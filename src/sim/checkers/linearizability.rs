//! Writes, and reads behind a sync, are linearizable, key by key: some order of the operations that respects real
//! time explains every answer. A search as by Wing and Gong with the memory of Lowe; operations without an answer may
//! have happened at any time after they were asked for, or never. It looks at no zxid but to guess the order to try
//! first, so that it would also find servers wrong that agree with each other.

use std::collections::{BTreeMap, HashSet};

use super::{Violation, violated};

const NAME: &str = "linearizability";

/// Configurations that are looked at for one key before giving up.
const STEPS_MAX: usize = 50_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// With the version that it expects, or -1.
    Set {
        value: u64,
        expected: i32,
    },
    Create {
        value: u64,
    },
    Delete {
        expected: i32,
    },
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    NoNode,
    Exists,
    BadVersion,
    Found { value: u64, version: i32 },
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub key: u32,
    pub call: Call,
    pub from: u64,
    /// When it was answered and how.
    pub answer: Option<(u64, Answer)>,
    /// Where to try it first.
    pub hint: i64,
}

/// A key: its value and version, while it exists.
type Register = Option<(u64, i32)>;

fn apply(register: Register, call: Call) -> (Register, Answer) {
    match (call, register) {
        (Call::Read, None) => (None, Answer::NoNode),
        (Call::Read, Some((value, version))) => (register, Answer::Found { value, version }),
        (Call::Create { value }, None) => (Some((value, 0)), Answer::Done),
        (Call::Create { .. }, Some(_)) => (register, Answer::Exists),
        (_, None) => (None, Answer::NoNode),
        (Call::Set { expected, .. } | Call::Delete { expected }, Some((_, version)))
            if expected != -1 && expected != version =>
        {
            (register, Answer::BadVersion)
        }
        (Call::Set { value, .. }, Some((_, version))) => (Some((value, version + 1)), Answer::Done),
        (Call::Delete { .. }, Some(_)) => (None, Answer::Done),
    }
}

/// How many keys were too hard to decide.
pub fn check(history: &[Operation]) -> Result<usize, Violation> {
    let mut keys: BTreeMap<u32, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        // A read without an answer tells nothing.
        if operation.call != Call::Read || operation.answer.is_some() {
            keys.entry(operation.key).or_default().push(operation);
        }
    }
    let mut undecided = 0;
    for (key, mut operations) in keys {
        operations.sort_by_key(|o| (o.answer.is_none(), o.hint, o.from));
        match explain(&operations) {
            Some(true) => {}
            None => undecided += 1,
            Some(false) => {
                let mut text = String::new();
                operations.sort_by_key(|o| o.from);
                for o in operations {
                    text.push_str(&format!("\n    {o:?}"));
                }
                violated(NAME, format!("no order explains key {key}:{text}"))?;
            }
        }
    }
    Ok(undecided)
}

/// Whether there is an order; `None` when the search was given up.
fn explain(operations: &[&Operation]) -> Option<bool> {
    struct Frame {
        done: Vec<u64>,
        register: Register,
        next: usize,
    }
    let answered = operations.iter().filter(|o| o.answer.is_some()).count();
    let has = |done: &[u64], at: usize| done[at / 64] >> (at % 64) & 1 == 1;
    let mut seen: HashSet<(Vec<u64>, Register)> = HashSet::new();
    let mut stack = vec![Frame {
        done: vec![0; operations.len().div_ceil(64)],
        register: None,
        next: 0,
    }];
    let mut left = vec![answered];
    let mut steps = 0;
    while let Some(frame) = stack.last_mut() {
        let to_do = left[left.len() - 1];
        if to_do == 0 {
            return Some(true);
        }
        // Nothing may come before an operation that was over when it began.
        let horizon = operations
            .iter()
            .enumerate()
            .filter(|(at, _)| !has(&frame.done, *at))
            .filter_map(|(_, o)| o.answer.map(|(until, _)| until))
            .min()
            .unwrap_or(u64::MAX);
        let mut found = None;
        while frame.next < operations.len() {
            let at = frame.next;
            frame.next += 1;
            let o = operations[at];
            if has(&frame.done, at) || o.from > horizon {
                continue;
            }
            let (register, answer) = apply(frame.register, o.call);
            match o.answer {
                Some((_, told)) if told != answer => continue,
                None if register == frame.register => continue,
                _ => {}
            }
            let mut done = frame.done.clone();
            done[at / 64] |= 1 << (at % 64);
            if seen.insert((done.clone(), register)) {
                found = Some((done, register, usize::from(o.answer.is_some())));
                break;
            }
        }
        steps += 1;
        if steps > STEPS_MAX {
            return None;
        }
        match found {
            Some((done, register, answered)) => {
                stack.push(Frame {
                    done,
                    register,
                    next: 0,
                });
                left.push(to_do - answered);
            }
            None => {
                stack.pop();
                left.pop();
            }
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(call: Call, from: u64, answer: Option<(u64, Answer)>) -> Operation {
        Operation {
            key: 1,
            call,
            from,
            answer,
            hint: 0,
        }
    }

    const CREATE: Call = Call::Create { value: 1 };

    fn set(value: u64) -> Call {
        Call::Set {
            value,
            expected: -1,
        }
    }

    fn found(value: u64, version: i32) -> Answer {
        Answer::Found { value, version }
    }

    #[test]
    fn operations_side_by_side_may_come_in_any_order() {
        let history = [
            op(CREATE, 0, Some((10, Answer::Done))),
            op(set(2), 20, Some((50, Answer::Done))),
            op(set(3), 20, Some((50, Answer::Done))),
            op(Call::Read, 60, Some((70, found(2, 2)))),
        ];
        assert_eq!(check(&history), Ok(0));
    }

    #[test]
    fn a_stale_read_has_no_explanation() {
        let history = [
            op(CREATE, 0, Some((10, Answer::Done))),
            op(set(2), 20, Some((30, Answer::Done))),
            op(Call::Read, 40, Some((50, found(1, 0)))),
        ];
        assert!(check(&history).is_err());
    }

    #[test]
    fn a_write_that_was_acknowledged_and_lost_has_no_explanation() {
        let history = [
            op(CREATE, 0, Some((10, Answer::Done))),
            op(set(2), 20, Some((30, Answer::Done))),
            op(set(3), 40, Some((50, Answer::Done))),
            op(Call::Read, 60, Some((70, found(3, 1)))),
        ];
        assert!(check(&history).is_err());
    }

    #[test]
    fn a_write_without_an_answer_happened_late_or_never() {
        let mut history = vec![
            op(CREATE, 0, Some((10, Answer::Done))),
            op(set(2), 20, None),
            op(Call::Read, 40, Some((50, found(1, 0)))),
            op(Call::Read, 60, Some((70, found(1, 0)))),
        ];
        assert_eq!(check(&history), Ok(0));
        history.push(op(Call::Read, 80, Some((90, found(2, 1)))));
        assert_eq!(check(&history), Ok(0));
        history.push(op(Call::Read, 100, Some((110, found(1, 0)))));
        assert!(check(&history).is_err());
    }

    #[test]
    fn only_one_of_two_that_expect_the_same_version_succeeds() {
        let cas = |value| Call::Set { value, expected: 0 };
        let history = [
            op(CREATE, 0, Some((10, Answer::Done))),
            op(cas(2), 20, Some((50, Answer::Done))),
            op(cas(3), 20, Some((50, Answer::Done))),
        ];
        assert!(check(&history).is_err());
        let history = [
            op(CREATE, 0, Some((10, Answer::Done))),
            op(cas(2), 20, Some((50, Answer::BadVersion))),
            op(cas(3), 20, Some((50, Answer::Done))),
        ];
        assert_eq!(check(&history), Ok(0));
    }
}
