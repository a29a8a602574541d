//! Numbers of the protocol that have names: operations, errors, events.
//!
//! Each is the integer of the wire with names for the known values, so that an
//! unknown value can be read, echoed and refused like any other. Answers to
//! `org.apache.zookeeper.ZooDefs.OpCode`, `KeeperException.Code` and
//! `Watcher.Event`.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! named_numbers {
    (
        $(#[$attribute:meta])*
        $type:ident { $($(#[$value_attribute:meta])* $name:ident = $value:literal,)* }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub i32);

        impl $type {
            $($(#[$value_attribute])* pub const $name: $type = $type($value);)*

            /// Every value that has a name.
            pub const NAMED: &[($type, &str)] = &[$(($type($value), stringify!($name)),)*];

            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}({})", self.0)
            }
        }
    };
}

named_numbers! {
    /// What a request asks for, and what a transaction does.
    OpCode {
        NOTIFICATION = 0,
        CREATE = 1,
        DELETE = 2,
        EXISTS = 3,
        GET_DATA = 4,
        SET_DATA = 5,
        GET_ACL = 6,
        SET_ACL = 7,
        GET_CHILDREN = 8,
        SYNC = 9,
        PING = 11,
        GET_CHILDREN2 = 12,
        CHECK = 13,
        MULTI = 14,
        CREATE2 = 15,
        RECONFIG = 16,
        CHECK_WATCHES = 17,
        REMOVE_WATCHES = 18,
        CREATE_CONTAINER = 19,
        DELETE_CONTAINER = 20,
        CREATE_TTL = 21,
        MULTI_READ = 22,
        AUTH = 100,
        SET_WATCHES = 101,
        SASL = 102,
        GET_EPHEMERALS = 103,
        GET_ALL_CHILDREN_NUMBER = 104,
        SET_WATCHES2 = 105,
        ADD_WATCH = 106,
        WHO_AM_I = 107,
        CREATE_SESSION = -10,
        CLOSE_SESSION = -11,
        /// A failed transaction, and a failed entry of a multi's result.
        ERROR = -1,
    }
}

named_numbers! {
    /// The answer to a request that failed; `OK` otherwise.
    ErrorCode {
        OK = 0,
        SYSTEM_ERROR = -1,
        RUNTIME_INCONSISTENCY = -2,
        DATA_INCONSISTENCY = -3,
        CONNECTION_LOSS = -4,
        MARSHALLING_ERROR = -5,
        UNIMPLEMENTED = -6,
        OPERATION_TIMEOUT = -7,
        BAD_ARGUMENTS = -8,
        UNKNOWN_SESSION = -12,
        NEW_CONFIG_NO_QUORUM = -13,
        RECONFIG_IN_PROGRESS = -14,
        API_ERROR = -100,
        NO_NODE = -101,
        NO_AUTH = -102,
        BAD_VERSION = -103,
        NO_CHILDREN_FOR_EPHEMERALS = -108,
        NODE_EXISTS = -110,
        NOT_EMPTY = -111,
        SESSION_EXPIRED = -112,
        INVALID_CALLBACK = -113,
        INVALID_ACL = -114,
        AUTH_FAILED = -115,
        SESSION_MOVED = -118,
        NOT_READ_ONLY = -119,
        EPHEMERAL_ON_LOCAL_SESSION = -120,
        NO_WATCHER = -121,
        REQUEST_TIMEOUT = -122,
        RECONFIG_DISABLED = -123,
        SESSION_CLOSED_REQUIRE_SASL_AUTH = -124,
        QUOTA_EXCEEDED = -125,
        THROTTLED_OP = -127,
    }
}

impl ErrorCode {
    #[inline]
    pub const fn is_ok(self) -> bool {
        self.0 == Self::OK.0
    }
}

named_numbers! {
    /// What happened to a watched node. Only the first four are ever sent.
    EventType {
        NODE_CREATED = 1,
        NODE_DELETED = 2,
        NODE_DATA_CHANGED = 3,
        NODE_CHILDREN_CHANGED = 4,
        DATA_WATCH_REMOVED = 5,
        CHILD_WATCH_REMOVED = 6,
        PERSISTENT_WATCH_REMOVED = 7,
        NONE = -1,
    }
}

named_numbers! {
    /// State of the connection as a notification tells it; a server says
    /// `SYNC_CONNECTED` only.
    KeeperState {
        UNKNOWN = -1,
        DISCONNECTED = 0,
        NO_SYNC_CONNECTED = 1,
        SYNC_CONNECTED = 3,
        AUTH_FAILED = 4,
        CONNECTED_READ_ONLY = 5,
        SASL_AUTHENTICATED = 6,
        CLOSED = 7,
        EXPIRED = -112,
    }
}
