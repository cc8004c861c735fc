//! What is asked of the proxies.

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Connections that send one request after the other, and get bodies of this many bytes.
    KeepAlive {
        /// At a time.
        connections: usize,
        /// Of a response body.
        bytes: usize,
    },
    /// A connection for each request.
    Connect {
        /// At a time.
        connections: usize,
    },
    /// Request bodies of this many bytes, small answers.
    Upload {
        /// At a time.
        connections: usize,
        /// Of a request body.
        bytes: usize,
    },
}

/// The body of a small answer.
pub(crate) const SMALL: usize = 128;
/// The body of a larger one.
pub(crate) const LARGE: usize = 10 * 1024;

impl Scenario {
    /// All of them, the one that figures are claimed for first.
    pub(crate) const ALL: [Self; 7] = [
        Self::KeepAlive { connections: 64, bytes: SMALL },
        Self::KeepAlive { connections: 8, bytes: SMALL },
        Self::KeepAlive { connections: 512, bytes: SMALL },
        Self::KeepAlive { connections: 64, bytes: LARGE },
        Self::KeepAlive { connections: 512, bytes: LARGE },
        Self::Connect { connections: 16 },
        Self::Upload { connections: 16, bytes: 1 << 20 },
    ];

    /// Its name in figures.
    pub(crate) fn name(self) -> String {
        match self {
            Self::KeepAlive { connections, bytes } => format!("keepalive_{connections}_x_{bytes}_bytes"),
            Self::Connect { connections } => format!("connect_{connections}"),
            Self::Upload { connections, bytes } => format!("upload_{connections}_x_{bytes}_bytes"),
        }
    }

    pub(crate) fn connections(self) -> usize {
        match self {
            Self::KeepAlive { connections, .. }
            | Self::Connect { connections }
            | Self::Upload { connections, .. } => connections,
        }
    }

    /// The bytes of a request, of a client as they are: five headers.
    pub(crate) fn request(self) -> Vec<u8> {
        let (line, more) = match self {
            Self::KeepAlive { bytes: LARGE.., .. } => ("GET /large?q=1 HTTP/1.1", String::new()),
            Self::KeepAlive { .. } => ("GET /small?q=1 HTTP/1.1", String::new()),
            Self::Connect { .. } => ("GET /small?q=1 HTTP/1.1", "connection: close\r\n".to_owned()),
            Self::Upload { bytes, .. } => ("POST /upload HTTP/1.1", format!("content-length: {bytes}\r\n")),
        };
        let head = format!(
            "{line}\r\nhost: app.example.org\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\n\
             accept: text/html,application/json;q=0.9,*/*;q=0.8\r\naccept-encoding: gzip, deflate, br\r\n\
             cookie: session=0123456789abcdef0123456789abcdef\r\n{more}\r\n"
        );
        let body = match self {
            Self::Upload { bytes, .. } => bytes,
            Self::KeepAlive { .. } | Self::Connect { .. } => 0,
        };
        let mut request = head.into_bytes();
        request.resize(request.len() + body, b'u');
        request
    }

    /// How long the body of the answer is.
    pub(crate) fn answer(self) -> usize {
        match self {
            Self::KeepAlive { bytes, .. } => bytes,
            Self::Connect { .. } | Self::Upload { .. } => SMALL,
        }
    }
}
