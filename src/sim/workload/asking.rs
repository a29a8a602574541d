//! What a client that has nothing special to do does next.

use super::{Act, Client, History, KEYS, LOCK_KEY, Time, What, path_of};
use crate::proto::OpCode;
use crate::sim::checkers::linearizability::Call;
use crate::sim::requests;

impl Client {
    fn value(&mut self) -> u64 {
        self.values += 1;
        self.number << 32 | self.values
    }

    pub(super) fn something(&mut self, now: Time, history: &mut History, acts: &mut Vec<Act>) {
        if self.look_again && self.ticket.is_some() {
            self.look_again = false;
            let body = requests::children("/lock", true);
            self.send(What::Rank, OpCode::GET_CHILDREN, body, now, acts);
            return;
        }
        let key = self.rng.below(u64::from(KEYS)) as u32;
        let path = path_of(key);
        let watch = self.rng.chance(500);
        match self.rng.below(100) {
            0..28 => {
                let value = self.value();
                let expected = if self.rng.chance(300) {
                    self.rng.below(6) as i32
                } else {
                    -1
                };
                let at = history.begin(key, Call::Set { value, expected }, now);
                let body = requests::set(&path, &value.to_be_bytes(), expected);
                self.send(What::Write(at), OpCode::SET_DATA, body, now, acts);
            }
            28..42 => {
                let key = if self.rng.chance(200) { LOCK_KEY } else { key };
                let path = path_of(key);
                let value = self.value();
                let at = history.begin(key, Call::Create { value }, now);
                let body = requests::create(&path, &value.to_be_bytes(), requests::PERSISTENT);
                self.send(What::Write(at), OpCode::CREATE, body, now, acts);
            }
            42..46 => {
                let expected = -1;
                let at = history.begin(key, Call::Delete { expected }, now);
                let body = requests::delete(&path, expected);
                self.send(What::Write(at), OpCode::DELETE, body, now, acts);
            }
            46..50 => {
                let other = (key + 1) % KEYS;
                let (first, second) = (self.value(), self.value());
                let set = |value| Call::Set {
                    value,
                    expected: -1,
                };
                let a = history.begin(key, set(first), now);
                let b = history.begin(other, set(second), now);
                let body = requests::multi(&[
                    (&path, &first.to_be_bytes()),
                    (&path_of(other), &second.to_be_bytes()),
                ]);
                self.send(What::Pair(a, b), OpCode::MULTI, body, now, acts);
            }
            50..62 => {
                let body = requests::get(&path, watch);
                let what = What::Read {
                    path,
                    watch,
                    counts: None,
                };
                self.send(what, OpCode::GET_DATA, body, now, acts);
            }
            62..74 => {
                let at = history.begin(key, Call::Read, now);
                self.send(What::Sync, OpCode::SYNC, requests::sync(&path), now, acts);
                let body = requests::get(&path, false);
                let what = What::Read {
                    path,
                    watch: false,
                    counts: Some(at),
                };
                self.send(what, OpCode::GET_DATA, body, now, acts);
            }
            74..80 => {
                let body = requests::exists(&path, watch);
                self.send(
                    What::Exists { path, watch },
                    OpCode::EXISTS,
                    body,
                    now,
                    acts,
                );
            }
            80..86 => {
                let body = requests::children("/lock", watch);
                self.send(
                    What::Children { watch },
                    OpCode::GET_CHILDREN,
                    body,
                    now,
                    acts,
                );
            }
            86..90 => {
                let path = format!("/e{}-{}", self.number, self.rng.below(3));
                let body = requests::create(&path, b"", requests::EPHEMERAL);
                self.send(What::Ephemeral, OpCode::CREATE, body, now, acts);
            }
            _ => match self.ticket.take() {
                // Left over from a connection that was lost.
                Some(ticket) => {
                    let body = requests::delete(&ticket, -1);
                    self.send(What::Release, OpCode::DELETE, body, now, acts);
                }
                None => {
                    let flags = requests::EPHEMERAL_SEQUENTIAL;
                    let body = requests::create("/lock/n-", b"", flags);
                    self.send(What::Queue, OpCode::CREATE, body, now, acts);
                }
            },
        }
    }
}
