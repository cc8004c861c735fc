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
    /// The same over TLS 1.3.
    Tls {
        /// At a time.
        connections: usize,
        /// Of a response body.
        bytes: usize,
    },
    /// Streams of HTTP/2 in the clear.
    Http2 {
        /// At a time.
        connections: usize,
        /// On each of them, at a time.
        streams: usize,
        /// Of a response body.
        bytes: usize,
    },
    /// Calls of gRPC, with HTTP/2 to the servers as well.
    Grpc {
        /// At a time.
        connections: usize,
        /// On each of them, at a time.
        streams: usize,
    },
    /// Requests that come at this rate, whether or not earlier ones are answered: of their latencies the wait for a
    /// connection that is free is a part.
    Paced {
        /// That carry them.
        connections: usize,
        /// A second.
        rate: u32,
    },
    /// One request after the other through a proxy with [`ROUTES`] routes.
    Routes {
        /// At a time.
        connections: usize,
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

/// How many routes a proxy has that has many.
pub(crate) const ROUTES: usize = 10_000;
/// The message that is called with and answered: five bytes that say its length, and it.
pub(crate) const MESSAGE: usize = 5 + 64;

/// The host that is asked for.
pub(crate) const HOST: &str = "app.example.org";
/// Headers of a client as they are.
pub(crate) const HEADERS: [(&str, &str); 4] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) bench"),
    ("accept", "text/html,application/json;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
];

impl Scenario {
    /// All of them, the one that figures are claimed for first.
    pub(crate) const ALL: [Self; 15] = [
        Self::KeepAlive { connections: 64, bytes: SMALL },
        Self::KeepAlive { connections: 8, bytes: SMALL },
        Self::KeepAlive { connections: 512, bytes: SMALL },
        Self::KeepAlive { connections: 64, bytes: LARGE },
        Self::KeepAlive { connections: 512, bytes: LARGE },
        Self::Tls { connections: 64, bytes: SMALL },
        Self::Tls { connections: 64, bytes: LARGE },
        Self::Http2 { connections: 16, streams: 8, bytes: SMALL },
        Self::Http2 { connections: 16, streams: 8, bytes: LARGE },
        Self::Grpc { connections: 16, streams: 8 },
        Self::Routes { connections: 64 },
        Self::Paced { connections: 64, rate: 5_000 },
        Self::Paced { connections: 64, rate: 20_000 },
        Self::Connect { connections: 16 },
        Self::Upload { connections: 16, bytes: 1 << 20 },
    ];

    /// Its name in figures.
    pub(crate) fn name(self) -> String {
        match self {
            Self::KeepAlive { connections, bytes } => format!("keepalive_{connections}_x_{bytes}_bytes"),
            Self::Tls { connections, bytes } => format!("tls_{connections}_x_{bytes}_bytes"),
            Self::Http2 { connections, streams, bytes } => {
                format!("http2_{connections}_by_{streams}_x_{bytes}_bytes")
            }
            Self::Grpc { connections, streams } => format!("grpc_{connections}_by_{streams}"),
            Self::Routes { connections } => format!("routes_{ROUTES}_keepalive_{connections}"),
            Self::Paced { connections, rate } => format!("paced_{rate}_a_second_over_{connections}"),
            Self::Connect { connections } => format!("connect_{connections}"),
            Self::Upload { connections, bytes } => format!("upload_{connections}_x_{bytes}_bytes"),
        }
    }

    pub(crate) fn connections(self) -> usize {
        match self {
            Self::KeepAlive { connections, .. }
            | Self::Tls { connections, .. }
            | Self::Http2 { connections, .. }
            | Self::Grpc { connections, .. }
            | Self::Routes { connections }
            | Self::Paced { connections, .. }
            | Self::Connect { connections }
            | Self::Upload { connections, .. } => connections,
        }
    }

    /// What is asked for.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Upload { .. } => "/upload",
            Self::Grpc { .. } => "/bench.Echo/Say",
            // The one in the middle.
            Self::Routes { .. } => "/r/5000/small?q=1",
            _ if self.answer() == LARGE => "/large?q=1",
            Self::KeepAlive { .. }
            | Self::Tls { .. }
            | Self::Http2 { .. }
            | Self::Paced { .. }
            | Self::Connect { .. } => "/small?q=1",
        }
    }

    /// The bytes of a request of HTTP/1.1.
    pub(crate) fn request(self) -> Vec<u8> {
        let (method, more, body) = match self {
            Self::KeepAlive { .. }
            | Self::Tls { .. }
            | Self::Http2 { .. }
            | Self::Grpc { .. }
            | Self::Routes { .. }
            | Self::Paced { .. } => ("GET", String::new(), 0),
            Self::Connect { .. } => ("GET", "connection: close\r\n".to_owned(), 0),
            Self::Upload { bytes, .. } => ("POST", format!("content-length: {bytes}\r\n"), bytes),
        };
        let mut head = format!("{method} {} HTTP/1.1\r\nhost: {HOST}\r\n", self.path());
        for (name, value) in HEADERS {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let mut request = format!("{head}{more}\r\n").into_bytes();
        request.resize(request.len() + body, b'u');
        request
    }

    /// How long the body of the answer is.
    pub(crate) fn answer(self) -> usize {
        match self {
            Self::KeepAlive { bytes, .. } | Self::Tls { bytes, .. } | Self::Http2 { bytes, .. } => bytes,
            Self::Grpc { .. } => MESSAGE,
            Self::Routes { .. } | Self::Paced { .. } | Self::Connect { .. } | Self::Upload { .. } => SMALL,
        }
    }
}
