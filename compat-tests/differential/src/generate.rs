//! A script from a seed: mostly sensible requests on few paths, so that they meet, and every kind of bad argument.

use crate::deliberate::{Place, avoided, place, stops_followers};
use crate::profile::Profile;
use crate::request::{Field, Request};
use crate::rng::Rng;
use crate::script::{Action, Hello, Password, Script, Step};

const STEPS: usize = 44;
const CLIENTS: usize = 4;
const BURST_MAX: usize = 22;

/// Few names, so that operations meet on the same nodes.
const PATHS: &[&str] = &[
    "/d",
    "/d/a",
    "/d/b",
    "/d/c",
    "/d/a/x",
    "/d/a/y",
    "/d/b/x",
    "/d/a/x/deep",
    "/e",
    "/e/a",
    "/e/b",
    "/d/e1",
    "/d/e2",
    "/d/c/e3",
    "/d/t",
    "/d/t/x",
    "/d/q",
    "/d/q/x",
    "/d/q/y",
    "/f",
];
/// They exist from the beginning, unless deleted.
const BASE: &[&str] = &[
    "/d", "/e", "/d/a", "/d/b", "/d/q", "/d/c", "/d/a/x", "/d/q/x", "/d/t",
];
const SEQUENTIAL: &[&str] = &[
    "/d/s", "/d/a/s-", "/d/", "/d/q/", "/e/lock-", "/s", "/d/a/", "/d/c/n",
];
const ODD_PATHS: &[&[u8]] = &[
    b"",
    b"/",
    b"d",
    b"d/a",
    b"//",
    b"/d//a",
    b"/d/a/",
    b"/d/.",
    b"/d/..",
    b"/d/./a",
    b"/d/../a",
    b"/d/...",
    b"/d/.a",
    b"/d/a\0b",
    b"\0",
    b"/d/\x01",
    b"/d/\x1f",
    b"/d/\x7f",
    b"/d/\xc2\x80",
    b"/d/\xc2\x9f",
    b"/d/\xc2\xa0",
    b"/nope/x",
    b"/nope/..",
    b"/d/a/nope/x",
    "/d/\u{e4}\u{f6}".as_bytes(),
    "/d/\u{4e2d}\u{6587}".as_bytes(),
    "/d/\u{1f600}".as_bytes(),
    b"/d/\xff\xfe",
    b"/d/\xed\xa0\x80",
    "/d/\u{e000}".as_bytes(),
    "/d/\u{f8ff}".as_bytes(),
    "/d/\u{f900}".as_bytes(),
    "/d/\u{fff0}".as_bytes(),
    "/d/\u{ffef}".as_bytes(),
    "/d/\u{fffd}".as_bytes(),
    b"/d/ ",
    b"/d/a b",
    b"/d/\"q\\",
    b"/d/%2f",
    b"/zookeeper",
    b"/zookeeper/quota",
    b"/zookeeper/config",
    b"/zookeeper/x",
    b"/zookeeper/quota/d",
    b"/zookeeper/config/x",
    b"/zookeeperx",
    b"/d/s0000000000",
    b"/d/s0000000001",
    b"/d/a/s-0000000002",
    b"/d/0000000003",
    b"/s0000000001",
    b"/d/-",
    b"/d/a\r\n",
];
const QUOTA_OF: &[&str] = &["/d", "/d/a", "/d/q", "/e", "/d/q/x"];
const LIMITS: &[&str] = &[
    "count=-1,bytes=-1",
    "count=4,bytes=-1",
    "count=-1,bytes=20",
    "count=3,bytes=10=;byteHardLimit=30;countHardLimit=4",
    "count=-1,bytes=-1=;countHardLimit=3",
    "count=-1,bytes=-1=;byteHardLimit=12",
    "count=1000,bytes=100000",
    "count=5",
    "bytes=7;countHardLimit=6",
    "",
    "count=2,bytes=5=;byteHardLimit=-1;countHardLimit=-1",
    "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=0",
];
const USAGE: &[&str] = &[
    "count=0,bytes=0",
    "count=-1,bytes=-1",
    "count=2,bytes=9",
    "",
];

/// Hashes of the users that the scripts log in as (SHA-1 and SHA-256 of `user:password`).
const DIGEST_IDS: &[&str] = &[
    "alice:AIueg8ag5ALfqeEyKdLnva1Wvi0=",
    "bob:LcrmCNs/wfVD+i5a5yaz89GyjIM=",
    "alice:DEiyweFegiwnTyn6Rh8CY29u/r+EErWMQdWaUvOs4Vk=",
    "bob:H+1sWdmSCRWIdLKjPD7Mxu5NvsqPkPJJA+0sZfLsCUQ=",
];
const ODD_IDS: &[(&str, &str)] = &[
    ("world", "someone"),
    ("world", ""),
    ("digest", "alice"),
    ("digest", "a:b:c"),
    ("digest", "a:"),
    ("digest", ":b"),
    ("digest", ""),
    ("digest", "a::"),
    ("digest", "::"),
    ("digest", "a::b"),
    ("super", ""),
    ("super", "x"),
    ("sasl", "x"),
    ("x509", "CN=a"),
    ("nope", "x"),
    ("", ""),
    ("ip", "127.0.0.1/33"),
    ("ip", "127.0.0.1/-1"),
    ("ip", "300.1.1.1"),
    ("ip", "127.0.0"),
    ("ip", "127.0.0.1/"),
    ("ip", "127.0.0.1/8/8"),
    ("ip", "localhost"),
    ("ip", ""),
    ("ip", "::1/129"),
    ("ip", "1::2::3"),
    ("ip", ":::"),
    ("ip", "12345::"),
    ("ip", "1.2.3.4.5"),
    ("ip", "01.2.3.4"),
    ("ip", "1.2.3.+4"),
    ("ip", "127.0.0.1/ 8"),
    ("ip", "/8"),
    ("ip", "::ffff:1.2.3.4"),
    ("ip", "fe80::1%eth0"),
    ("ip", "1:2:3:4:5:6:7"),
    ("WORLD", "anyone"),
    ("world", "Anyone"),
    ("ensemble", "x"),
];
const GOOD_IDS: &[(&str, &str)] = &[
    ("ip", "127.0.0.1"),
    ("ip", "127.0.0.0/8"),
    ("ip", "10.0.0.0/8"),
    ("ip", "0.0.0.0/0"),
    ("ip", "127.0.0.2/31"),
    ("ip", "::1"),
    ("ip", "::"),
    ("ip", "2001:db8::/32"),
    ("ip", "1:2:3:4:5:6:7:8"),
    ("ip", "::/0"),
    ("ip", "10.1.1.1/32"),
    ("auth", ""),
    ("auth", "ignored"),
    ("auth", "alice:x"),
    ("digest", "carol:nohash"),
];

pub fn generate(seed: u64, profile: &Profile) -> Script {
    let mut g = Generator {
        rng: Rng::new(seed),
        profile: *profile,
        connected: [false; CLIENTS],
    };
    let mut steps = Vec::new();
    let first = g.rng.below(CLIENTS - 1) + 2;
    for client in 0..first.min(CLIENTS) {
        steps.extend(g.connect(client));
    }
    let base: Vec<Request> = BASE.iter().map(|p| create(1, p, 0)).collect();
    steps.push(Step {
        client: 0,
        action: Action::Send(base),
    });
    if profile.enforces_quota || g.rng.chance(40) {
        let client = g.rng.below(2);
        steps.push(Step {
            client,
            action: Action::Send(g.quotas()),
        });
    }
    for _ in 0..STEPS {
        let client = g.rng.below(CLIENTS);
        steps.extend(g.step(client));
    }
    Script {
        config: profile.name.to_string(),
        steps,
    }
}

fn create(op: i32, path: &str, flags: i32) -> Request {
    Request::new(
        op,
        vec![
            Field::str(path),
            Field::Buf(b"v".to_vec()),
            acl(31, "world", "anyone"),
            Field::Int(flags),
        ],
    )
}

fn acl(perms: i32, scheme: &str, id: &str) -> Field {
    Field::List(vec![entry(perms, scheme, id)])
}

fn entry(perms: i32, scheme: &str, id: &str) -> Field {
    Field::Acl(
        perms,
        Box::new(Field::str(scheme)),
        Box::new(Field::str(id)),
    )
}

struct Generator {
    rng: Rng,
    profile: Profile,
    connected: [bool; CLIENTS],
}

impl Generator {
    fn step(&mut self, client: usize) -> Vec<Step> {
        if !self.connected[client] {
            return self.connect(client);
        }
        let action = match self.rng.weighted(&[88, 3, 4, 3]) {
            0 => {
                let burst = self.burst();
                if burst.iter().any(closes) {
                    self.connected[client] = false;
                }
                Action::Send(burst)
            }
            1 => {
                self.connected[client] = false;
                Action::Drop
            }
            2 => Action::Reconnect(
                Hello {
                    passwd_len: 16,
                    ..self.hello()
                },
                Password::Own,
            ),
            _ => {
                self.connected[client] = false;
                Action::Raw(self.refused_bytes())
            }
        };
        vec![Step { client, action }]
    }

    fn connect(&mut self, client: usize) -> Vec<Step> {
        self.connected[client] = true;
        let hello = self.hello();
        let mut action = match self.rng.weighted(&[50, 32, 4, 3, 3, 3]) {
            0 if self.rng.chance(20) => {
                let mut requests = self.burst();
                requests.retain(|r| place(r) == Place::Anywhere);
                Action::ConnectSend(
                    Hello {
                        passwd_len: 16,
                        ..hello
                    },
                    requests,
                )
            }
            0 => Action::Connect(hello),
            1 => Action::Reconnect(
                Hello {
                    passwd_len: 16,
                    ..hello
                },
                Password::Own,
            ),
            2 => Action::Reconnect(hello, Password::Wrong),
            3 => Action::Reconnect(hello, Password::Empty),
            4 => Action::RawHello(self.odd_hello()),
            _ => Action::Connect(Hello {
                last_zxid: 1000 + self.rng.below(3) as i64,
                ..hello
            }),
        };
        if matches!(
            &action,
            Action::Reconnect(_, Password::Wrong | Password::Empty) | Action::RawHello(_)
        ) || matches!(&action, Action::Connect(h) if h.last_zxid != 0)
        {
            let second = Action::Connect(self.hello());
            let first = std::mem::replace(&mut action, second);
            return vec![
                Step {
                    client,
                    action: first,
                },
                Step { client, action },
            ];
        }
        vec![Step { client, action }]
    }

    fn hello(&mut self) -> Hello {
        Hello {
            timeout: self.rng.one_of(&[
                100_000,
                100_000,
                100_000,
                0,
                -1,
                i32::MAX,
                i32::MIN,
                60_000,
                59_999,
                600_001,
            ]),
            legacy: self.rng.chance(20),
            read_only: self.rng.chance(10),
            last_zxid: if self.rng.chance(5) { -1 } else { 0 },
            passwd_len: self.rng.one_of(&[16, 16, 16, 16, 16, 16, 16, 0, -1, 5, 40]),
        }
    }

    /// First frames that are not handshakes, or hardly.
    fn odd_hello(&mut self) -> Vec<u8> {
        let mut whole = vec![0; 12];
        whole.extend_from_slice(&100_000i32.to_be_bytes());
        whole.extend_from_slice(&[0; 8]);
        let kind = self.rng.below(8);
        match kind {
            0 => whole.truncate(self.rng.below(24)),
            1 => whole.extend_from_slice(&[0, 0, 0, 16, 1, 2, 3]),
            2 => whole.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]),
            3 => whole.extend_from_slice(&[0xff, 0xff, 0xff, 0xfe]),
            4 => {
                // Bytes after the last field.
                whole.extend_from_slice(&[0, 0, 0, 0, 0, 1, 2, 3]);
            }
            5 => {
                whole[0..4].copy_from_slice(&5i32.to_be_bytes());
                whole.extend_from_slice(&[0, 0, 0, 2, 1, 2, 0]);
            }
            6 => return vec![0xff, 0xff, 0xff, 0xff],
            _ => return vec![0x7f, 0xff, 0xff, 0xff],
        }
        crate::request::framed(&whole)
    }

    /// Bytes after which a server closes an established connection.
    fn refused_bytes(&mut self) -> Vec<u8> {
        match self.rng.below(7) {
            0 => vec![0xff, 0xff, 0xff, 0xff],
            1 => i32::MIN.to_be_bytes().to_vec(),
            2 => 0x10_0000i32.to_be_bytes().to_vec(),
            3 => i32::MAX.to_be_bytes().to_vec(),
            4 => b"ruok".to_vec(),
            5 => crate::request::framed(&vec![0; self.rng.below(8)]),
            // A second handshake: read as a request with operation 0.
            _ => crate::request::framed(&[0; 45]),
        }
    }

    fn burst(&mut self) -> Vec<Request> {
        let length = if self.rng.chance(25) {
            1
        } else {
            self.rng.below(BURST_MAX) + 1
        };
        let mut burst: Vec<Request> = Vec::new();
        while burst.len() < length {
            let request = self.request();
            if avoided(&request).is_some() || self.profile.ensemble && stops_followers(&request) {
                continue;
            }
            match place(&request) {
                Place::Anywhere => {
                    let writes = matches!(request.op, 1 | 2 | 5 | 7 | 14..=16 | 19 | 21);
                    burst.push(request);
                    if writes && self.profile.enforces_quota {
                        break;
                    }
                }
                Place::First if burst.is_empty() => burst.push(request),
                Place::First => burst.insert(0, request),
                Place::Last => {
                    burst.push(request);
                    break;
                }
                Place::Alone => return vec![request],
            }
        }
        // Two requests that must begin a write: the first of them does.
        let mut seen = false;
        burst.retain(|r| {
            let first = place(r) == Place::First;
            let keep = !(first && seen);
            seen |= first;
            keep
        });
        burst
    }

    fn request(&mut self) -> Request {
        let mut request = self.proper_request();
        if self.rng.chance(2) && request.op != -11 {
            match self.rng.below(3) {
                0 => request.cut = self.rng.below(12) + 1,
                1 => request
                    .fields
                    .push(Field::Raw(vec![0xab; self.rng.below(9) + 1])),
                _ => {
                    // A length that promises more than there is, or nothing that can be.
                    let length = self
                        .rng
                        .one_of(&[-2i32, i32::MIN, i32::MAX, 0x10_0000, 500]);
                    if !request.fields.is_empty() && request.op != 100 {
                        request.fields[0] = Field::Raw(length.to_be_bytes().to_vec());
                    }
                }
            }
        }
        if self.rng.chance(3) {
            request.xid = Some(self.rng.one_of(&[0, 1, -4, -8, i32::MAX, i32::MIN, -3]));
        }
        request
    }

    fn proper_request(&mut self) -> Request {
        let weights = [
            22, 7, 6, 8, 9, 3, 5, 4, 1, 1, 4, 9, 2, 2, 3, 2, 1, 2, 2, 2, 2, 4, 2, 1, 5, 1, 1,
        ];
        if self.profile.enforces_quota && self.rng.chance(12) {
            return self.quota_node();
        }
        match self.rng.weighted(&weights) {
            0 => self.create(),
            1 => Request::new(2, vec![self.path(), self.version()]),
            2 => Request::new(3, vec![self.path(), self.watch()]),
            3 => Request::new(4, vec![self.path(), self.watch()]),
            4 => Request::new(5, vec![self.path(), self.data(), self.version()]),
            5 => Request::new(6, vec![self.path()]),
            6 => Request::new(7, vec![self.path(), self.acl(), self.version()]),
            7 => Request::new(8, vec![self.path(), self.watch()]),
            8 => Request::new(9, vec![self.path()]),
            9 => Request::new(11, vec![]),
            10 => Request::new(12, vec![self.path(), self.watch()]),
            11 => self.multi(),
            12 => self.multi_read(),
            13 => self.reconfig(),
            14 => {
                let kind = self.watch_kind();
                Request::new(17, vec![self.path(), kind])
            }
            15 => {
                let kind = self.watch_kind();
                Request::new(18, vec![self.path(), kind])
            }
            16 => self.set_watches(101, 3),
            17 => self.set_watches(105, 5),
            18 => Request::new(103, vec![self.path()]),
            19 => Request::new(104, vec![self.path()]),
            20 => Request::new(107, vec![]),
            21 => {
                let mode = self.rng.one_of(&[0, 0, 0, 1, 1, 1, 2, -1]);
                Request::new(106, vec![self.path(), Field::Int(mode)])
            }
            22 => self.auth(),
            23 => match self.rng.below(3) {
                0 => Request::new(102, vec![Field::Buf(b"token".to_vec())]),
                1 => Request::new(102, vec![Field::Buf(vec![])]),
                _ => Request::new(-11, vec![]),
            },
            24 => self.quota_node(),
            25 => Request::new(-11, vec![]),
            _ => {
                let op = self.rng.one_of(&[
                    0,
                    10,
                    13,
                    -1,
                    23,
                    99,
                    108,
                    -2,
                    1000,
                    i32::MIN,
                    i32::MAX,
                    -12,
                ]);
                let fields = if op == 13 {
                    vec![self.path(), Field::Int(-1)]
                } else {
                    vec![]
                };
                if self.rng.chance(40) {
                    Request::new(op, fields)
                } else {
                    Request::new(11, vec![])
                }
            }
        }
    }

    fn path(&mut self) -> Field {
        match self.rng.weighted(&[50, 4, 8, 1, 1, 2, 34]) {
            6 => Field::str(self.rng.pick(BASE)),
            0 => Field::str(self.rng.pick(PATHS)),
            1 => Field::str("/"),
            2 => Field::Str(self.rng.pick(ODD_PATHS).to_vec()),
            3 => Field::Null,
            4 => {
                let length = self.rng.one_of(&[255usize, 1000, 5000]);
                Field::Str([b"/d/", vec![b'n'; length].as_slice()].concat())
            }
            _ => {
                let of = self.rng.pick(QUOTA_OF);
                let leaf = self
                    .rng
                    .pick(&["", "/zookeeper_limits", "/zookeeper_stats"]);
                Field::Str(format!("/zookeeper/quota{of}{leaf}").into_bytes())
            }
        }
    }

    fn version(&mut self) -> Field {
        Field::Int(
            self.rng
                .one_of(&[-1, -1, -1, -1, 0, 0, 1, 1, 2, 3, -2, i32::MAX, i32::MIN]),
        )
    }

    fn watch(&mut self) -> Field {
        Field::Bool(self.rng.chance(45))
    }

    fn watch_kind(&mut self) -> Field {
        Field::Int(
            self.rng
                .one_of(&[1, 2, 3, 3, 4, 5, 1, 2, 3, 4, 5, 0, 6, -1]),
        )
    }

    fn data(&mut self) -> Field {
        match self.rng.weighted(&[60, 10, 10, 15, 4, 1]) {
            0 => Field::Buf(vec![b'a' + self.rng.below(26) as u8; self.rng.below(12)]),
            1 => Field::Buf(vec![]),
            2 => Field::Null,
            3 => Field::Buf((0..self.rng.below(60)).map(|i| (i * 37) as u8).collect()),
            4 => Field::Fill(self.rng.below(20_000)),
            _ => match self.rng.below(8) {
                0 => Field::Fill(0xF_FFFF - 200),
                1 => Field::Fill(500_000),
                _ => Field::Fill(3000),
            },
        }
    }

    fn acl_entry(&mut self) -> Field {
        let perms = self.rng.one_of(&[
            31, 31, 31, 1, 2, 3, 4, 5, 8, 12, 15, 16, 17, 30, 27, 0, -1, 32, 255,
        ]);
        match self.rng.weighted(&[30, 30, 25, 12, 1, 1, 1]) {
            0 => entry(perms, "world", "anyone"),
            1 => entry(perms, "digest", self.rng.pick(DIGEST_IDS)),
            2 => {
                let (scheme, id) = self.rng.one_of(GOOD_IDS);
                entry(perms, scheme, id)
            }
            3 => {
                let (scheme, id) = self.rng.one_of(ODD_IDS);
                entry(perms, scheme, id)
            }
            4 => Field::Acl(perms, Box::new(Field::str("auth")), Box::new(Field::Null)),
            5 => Field::Acl(perms, Box::new(Field::Null), Box::new(Field::str("anyone"))),
            _ => Field::Acl(
                perms,
                Box::new(Field::str(self.rng.pick(&["world", "digest", "ip"]))),
                Box::new(Field::Null),
            ),
        }
    }

    fn acl(&mut self) -> Field {
        match self.rng.weighted(&[50, 9, 32, 2, 1, 1, 5]) {
            0 => acl(31, "world", "anyone"),
            1 => acl(31, "auth", ""),
            2 => {
                let mut entries: Vec<Field> = (0..self.rng.below(3) + 1)
                    .map(|_| self.acl_entry())
                    .collect();
                if self.rng.chance(15) {
                    entries.push(entries[0].clone());
                }
                if self.rng.chance(50) {
                    entries.push(entry(31, "world", "anyone"));
                }
                Field::List(entries)
            }
            3 => Field::List(vec![]),
            4 => Field::Null,
            5 => Field::Raw(self.rng.one_of(&[-2i32, i32::MIN]).to_be_bytes().to_vec()),
            _ => acl(1, "world", "anyone"),
        }
    }

    fn create(&mut self) -> Request {
        let op = self.rng.one_of(&[1, 1, 1, 15, 15, 15, 19, 21, 21]);
        let flags = match op {
            19 if self.rng.chance(80) => 4,
            21 if self.rng.chance(80) => self.rng.one_of(&[5, 5, 6]),
            1 | 15 if self.rng.chance(92) => self.rng.one_of(&[0, 0, 0, 1, 1, 2, 3]),
            _ => self.rng.one_of(&[0, 1, 2, 3, 4, 5, 6, 7, -1, i32::MAX]),
        };
        let path = if matches!(flags, 2 | 3 | 6) && self.rng.chance(80) {
            Field::str(self.rng.pick(SEQUENTIAL))
        } else {
            self.path()
        };
        let mut fields = vec![path, self.data(), self.acl(), Field::Int(flags)];
        if op == 21 {
            let proper = self.rng.chance(80);
            fields.push(Field::Long(if proper {
                self.rng.one_of(&[1, 1000, 3_600_000, 0xFF_FFFF_FFFF])
            } else {
                self.rng
                    .one_of(&[0, -1, 0x100_0000_0000, i64::MAX, i64::MIN])
            }));
        }
        Request::new(op, fields)
    }

    fn multi(&mut self) -> Request {
        let count = self.rng.one_of(&[0, 1, 1, 2, 2, 3, 3, 4, 6]);
        let mut subs: Vec<Request> = (0..count)
            .map(|_| match self.rng.weighted(&[40, 20, 20, 18, 1, 1]) {
                0 => self.create(),
                1 => Request::new(2, vec![self.path(), self.version()]),
                2 => Request::new(5, vec![self.path(), self.data(), self.version()]),
                3 => Request::new(13, vec![self.path(), self.version()]),
                4 => Request::new(
                    self.rng.one_of(&[4, 8]),
                    vec![self.path(), Field::Bool(false)],
                ),
                _ => Request::new(
                    self.rng.one_of(&[0, 3, 6, 7, 9, 14, 99, -1]),
                    vec![self.path()],
                ),
            })
            .collect();
        // Operations that succeed together are rare among random ones.
        if self.rng.chance(35) {
            let base = self.rng.pick(&["/d/m", "/d/a/m", "/e/m"]);
            subs = vec![create(
                self.rng.one_of(&[1, 15]),
                base,
                self.rng.one_of(&[0, 0, 2]),
            )];
            if self.rng.chance(50) {
                subs.push(Request::new(
                    5,
                    vec![Field::str(base), self.data(), Field::Int(0)],
                ));
                subs.push(Request::new(13, vec![Field::str(base), Field::Int(1)]));
            }
            if self.rng.chance(60) {
                subs.push(Request::new(2, vec![Field::str(base), Field::Int(-1)]));
            }
            if self.rng.chance(50) {
                subs.push(create(
                    15,
                    self.rng.pick(SEQUENTIAL),
                    self.rng.one_of(&[2, 3]),
                ));
            }
            if self.rng.chance(20) {
                subs.push(create(19, self.rng.pick(PATHS), 4));
            }
            if self.rng.chance(20) {
                let mut ttl = create(21, self.rng.pick(PATHS), 5);
                ttl.fields.push(Field::Long(5000));
                subs.push(ttl);
            }
        }
        // `cut` and odd lengths belong to whole requests.
        Request::new(14, vec![Field::Multi(subs)])
    }

    fn multi_read(&mut self) -> Request {
        let count = self.rng.one_of(&[0, 1, 2, 2, 3, 5]);
        let subs = (0..count)
            .map(|_| {
                let op = if self.rng.chance(95) {
                    self.rng.one_of(&[4, 8])
                } else {
                    self.rng.one_of(&[3, 12, 1, 13])
                };
                Request::new(op, vec![self.path(), self.watch()])
            })
            .collect();
        Request::new(22, vec![Field::Multi(subs)])
    }

    fn set_watches(&mut self, op: i32, lists: usize) -> Request {
        let mut fields = vec![match self.rng.below(4) {
            0 => Field::Long(0),
            n => Field::Zxid([0, 5, 60][n - 1]),
        }];
        for _ in 0..lists {
            fields.push(if self.rng.chance(2) {
                Field::Null
            } else {
                Field::List((0..self.rng.below(3)).map(|_| self.path()).collect())
            });
        }
        Request::new(op, fields)
    }

    fn auth(&mut self) -> Request {
        let proper = [
            ("digest", "alice:a"),
            ("digest", "bob:b"),
            ("digest", "alice:a"),
            ("digest", "bob:b"),
            ("ip", ""),
        ];
        let odd = [
            ("digest", "super:wrong"),
            ("digest", "nocolon"),
            ("digest", ""),
            ("digest", ":"),
            ("digest", "a:b:c"),
            ("digest", "super:test"),
            ("digest", "super:test"),
            ("digest", "alice:b"),
            ("ip", "8.8.8.8"),
        ];
        let bad = [
            ("nope", "x"),
            ("world", "anyone"),
            ("auth", ""),
            ("super", "x"),
            ("sasl", "x"),
            ("", ""),
        ];
        let (scheme, data) = match self.rng.weighted(&[60, 28, 8]) {
            0 => self.rng.one_of(&proper),
            1 => self.rng.one_of(&odd),
            _ => self.rng.one_of(&bad),
        };
        let data = if self.rng.chance(2) {
            Field::Null
        } else {
            Field::Buf(data.as_bytes().to_vec())
        };
        let scheme = if self.rng.chance(1) {
            Field::Null
        } else {
            Field::str(scheme)
        };
        let mut request = Request::new(
            100,
            vec![Field::Int(self.rng.one_of(&[0, 0, 7])), scheme, data],
        );
        if self.rng.chance(70) {
            request.xid = Some(-4);
        }
        request
    }

    /// Complete quotas on some paths, as tools set them.
    fn quotas(&mut self) -> Vec<Request> {
        let text = |s: &str| Field::Buf(s.as_bytes().to_vec());
        let mut requests = Vec::new();
        for _ in 0..self.rng.below(2) + 1 {
            let path = self.rng.pick(QUOTA_OF);
            for (end, _) in path.match_indices('/').skip(1) {
                requests.push(create(1, &format!("/zookeeper/quota{}", &path[..end]), 0));
            }
            let node = format!("/zookeeper/quota{path}");
            let mut limits = create(1, &format!("{node}/zookeeper_limits"), 0);
            limits.fields[1] = text(self.rng.pick(LIMITS));
            let mut stats = create(1, &format!("{node}/zookeeper_stats"), 0);
            stats.fields[1] = text(self.rng.pick(USAGE));
            requests.extend([create(1, &node, 0), limits, stats]);
        }
        requests
    }

    /// What setting, changing and removing a quota does, one request at a time.
    fn quota_node(&mut self) -> Request {
        let node = format!("/zookeeper/quota{}", self.rng.pick(QUOTA_OF));
        let limits = format!("{node}/zookeeper_limits");
        let stats = format!("{node}/zookeeper_stats");
        let text = |s: &str| Field::Buf(s.as_bytes().to_vec());
        let open = acl(31, "world", "anyone");
        match self.rng.weighted(&[30, 20, 20, 8, 4, 4, 4, 10]) {
            0 => create(1, &node, 0),
            1 => Request::new(
                1,
                vec![
                    Field::str(&limits),
                    text(self.rng.pick(LIMITS)),
                    open,
                    Field::Int(0),
                ],
            ),
            2 => Request::new(
                1,
                vec![
                    Field::str(&stats),
                    text(self.rng.pick(USAGE)),
                    open,
                    Field::Int(0),
                ],
            ),
            3 => Request::new(
                5,
                vec![
                    Field::str(&limits),
                    text(self.rng.pick(LIMITS)),
                    Field::Int(-1),
                ],
            ),
            4 => Request::new(
                5,
                vec![
                    Field::str(&stats),
                    text(self.rng.pick(USAGE)),
                    Field::Int(-1),
                ],
            ),
            5 => Request::new(2, vec![Field::str(&limits), Field::Int(-1)]),
            6 => Request::new(2, vec![Field::str(&stats), Field::Int(-1)]),
            _ => Request::new(4, vec![Field::str(&stats), self.watch()]),
        }
    }

    fn reconfig(&mut self) -> Request {
        let text = |g: &mut Self| match g.rng.below(4) {
            0 => Field::Null,
            1 => Field::str(""),
            2 => Field::str("server.1=127.0.0.1:1:2;3"),
            _ => Field::str("1"),
        };
        let (joining, leaving, members) = (text(self), text(self), text(self));
        let version = self.rng.one_of(&[-1, 0, 5]);
        Request::new(16, vec![joining, leaving, members, Field::Long(version)])
    }
}

/// Requests after which the generator expects no connection.
fn closes(request: &Request) -> bool {
    place(request) == Place::Alone && request.op != 102 || request.op == -11
}
