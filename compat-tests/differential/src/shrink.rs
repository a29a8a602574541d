//! Makes a script that shows a difference as short as it gets (delta debugging: leave out parts, halves first).

use crate::request::{Field, Request};
use crate::script::{Action, Script, Step};

/// `shows` says whether a script still shows the difference. At most `attempts` scripts are tried.
pub fn shrink(script: &Script, attempts: usize, mut shows: impl FnMut(&Script) -> bool) -> Script {
    let mut best = script.clone();
    let mut left = attempts;
    loop {
        let before = best.clone();
        best = without_parts(&best, steps_of, from_steps, &mut left, &mut shows);
        best = without_parts(&best, units_of, from_units, &mut left, &mut shows);
        best = without_sub_requests(&best, &mut left, &mut shows);
        if best == before || left == 0 {
            return best;
        }
    }
}

fn without_parts<T: Clone>(
    script: &Script,
    split: fn(&Script) -> Vec<T>,
    join: fn(&Script, &[T]) -> Script,
    left: &mut usize,
    shows: &mut impl FnMut(&Script) -> bool,
) -> Script {
    let mut parts = split(script);
    let mut size = parts.len().div_ceil(2);
    while size > 0 {
        // From the end: what comes after the difference goes at once.
        let mut end = parts.len();
        while end > 0 && *left > 0 {
            let start = end.saturating_sub(size);
            let mut fewer = parts.clone();
            fewer.drain(start..end);
            *left -= 1;
            if shows(&join(script, &fewer)) {
                parts = fewer;
            }
            end = start;
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    join(script, &parts)
}

fn steps_of(script: &Script) -> Vec<Step> {
    script.steps.clone()
}

fn from_steps(script: &Script, steps: &[Step]) -> Script {
    Script {
        config: script.config.clone(),
        steps: steps.to_vec(),
    }
}

/// Single requests, each with the number of the write it belongs to.
fn units_of(script: &Script) -> Vec<(usize, Step)> {
    let mut units = Vec::new();
    for (i, step) in script.steps.iter().enumerate() {
        let single = |r: &Request| {
            (
                i,
                Step {
                    client: step.client,
                    action: Action::Send(vec![r.clone()]),
                },
            )
        };
        match &step.action {
            Action::Send(requests) => units.extend(requests.iter().map(single)),
            Action::ConnectSend(hello, requests) => {
                let action = Action::ConnectSend(hello.clone(), Vec::new());
                units.push((
                    i,
                    Step {
                        client: step.client,
                        action,
                    },
                ));
                units.extend(requests.iter().map(single));
            }
            _ => units.push((i, step.clone())),
        }
    }
    units
}

fn from_units(script: &Script, units: &[(usize, Step)]) -> Script {
    let mut steps: Vec<Step> = Vec::new();
    let mut last = usize::MAX;
    for (i, unit) in units {
        match (steps.last_mut().map(|s| &mut s.action), &unit.action) {
            (
                Some(Action::Send(requests) | Action::ConnectSend(_, requests)),
                Action::Send(more),
            ) if last == *i => {
                requests.extend(more.iter().cloned());
            }
            _ => steps.push(unit.clone()),
        }
        last = *i;
    }
    Script {
        config: script.config.clone(),
        steps,
    }
}

fn without_sub_requests(
    script: &Script,
    left: &mut usize,
    shows: &mut impl FnMut(&Script) -> bool,
) -> Script {
    let mut best = script.clone();
    for s in 0..best.steps.len() {
        let requests = if let Action::Send(r) = &best.steps[s].action {
            r.len()
        } else {
            0
        };
        for r in 0..requests {
            let mut sub = 0;
            while *left > 0 {
                let mut fewer = best.clone();
                let Action::Send(requests) = &mut fewer.steps[s].action else {
                    break;
                };
                let Some(Field::Multi(subs)) = requests[r].fields.first_mut() else {
                    break;
                };
                if sub >= subs.len() {
                    break;
                }
                subs.remove(sub);
                *left -= 1;
                if shows(&fewer) {
                    best = fewer;
                } else {
                    sub += 1;
                }
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::generate::generate;
    use crate::profile::Profile;

    #[test]
    fn two_requests_remain_of_many() {
        let script = generate(7, &Profile::named("plain").unwrap());
        let has = |s: &Script, op| {
            s.steps
                .iter()
                .any(|s| matches!(&s.action, Action::Send(r) if r.iter().any(|r| r.op == op)))
        };
        assert!(has(&script, 14) && has(&script, 106));
        let short = shrink(&script, 10_000, |s| has(s, 14) && has(s, 106));
        assert_eq!(short.requests(), 2);
    }
}
