//! A connection as a sequence of events.

use proxy_http1::{
    Asked, Body, Framing, HeadEnd, Kind, Malformed, Part, Persistence, Request, Response, Room, Version,
};

/// How large heads and bodies may be here.
pub const LIMIT: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Request(Head),
    Response { status: u16, framing: Framing, persistence: Persistence, fields: Vec<(String, Vec<u8>)> },
    Content(Vec<u8>),
    Trailers(Vec<u8>),
    End,
    Refused(Malformed),
}

/// What a request head means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub authority: Option<String>,
    pub version: Version,
    pub framing: Framing,
    pub persistence: Persistence,
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Event {
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// The events without what writing anew may change: the version, what the sender wants with its connection, and
/// trailers, of which some end here.
pub fn meanings(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    events.retain(|it| !matches!(it, Event::Trailers(_)));
    for event in &mut events {
        if let Event::Request(head) = event {
            head.version = Version::Http11;
            head.persistence = Persistence::KeepAlive;
            head.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
            // A host that HTTP/1.0 has not given is written as an empty one.
            head.authority.get_or_insert_default();
        }
    }
    events
}

/// Reads requests until something is refused or the bytes are used up. The bytes arrive in pieces of the lengths of
/// `cuts`, and the rest at once.
pub fn requests(input: &[u8], cuts: &[usize]) -> Vec<Event> {
    read(input, cuts, Kind::Request)
}

/// The same for responses.
pub fn responses(input: &[u8], cuts: &[usize]) -> Vec<Event> {
    read(input, cuts, Kind::Response)
}

struct Reader {
    kind: Kind,
    end: HeadEnd,
    body: Option<Body>,
    events: Vec<Event>,
}

fn read(input: &[u8], cuts: &[usize], kind: Kind) -> Vec<Event> {
    let mut reader = Reader { kind, end: HeadEnd::new(kind), body: None, events: Vec::new() };
    let (mut arrived, mut taken) = (0, 0);
    let mut cuts = cuts.iter();
    loop {
        let next = cuts.next().map_or(input.len(), |cut| (arrived + cut).min(input.len()));
        arrived = next;
        match reader.take(&input[taken..arrived]) {
            Ok(more) => taken += more,
            Err(malformed) => {
                reader.events.push(Event::Refused(malformed));
                return reader.events;
            }
        }
        if arrived == input.len() {
            return reader.events;
        }
    }
}

impl Reader {
    /// Takes what it can, and says how much.
    fn take(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            let before = (taken, self.events.len());
            match &mut self.body {
                None => match self.end.find(rest, LIMIT)? {
                    None => return Ok(taken),
                    Some((begin, end)) => {
                        self.head(&rest[begin..end])?;
                        taken += end;
                    }
                },
                Some(body) => {
                    let step = body.step(rest)?;
                    taken += step.taken;
                    match step.part {
                        None if step.taken == 0 => return Ok(taken),
                        None => {}
                        Some(Part::Content(content)) => self.content(content),
                        Some(Part::Trailers(section)) => {
                            self.events.push(Event::Trailers(section.to_vec()));
                            self.over();
                        }
                        Some(Part::End) => self.over(),
                    }
                }
            }
            assert_ne!(before, (taken, self.events.len()), "each step makes progress");
        }
    }

    fn over(&mut self) {
        self.events.push(Event::End);
        self.body = None;
        self.end = HeadEnd::new(self.kind);
    }

    /// Content that comes in pieces is the same content.
    fn content(&mut self, content: &[u8]) {
        match self.events.last_mut() {
            Some(Event::Content(before)) => before.extend_from_slice(content),
            _ => self.events.push(Event::Content(content.to_vec())),
        }
    }

    fn head(&mut self, head: &[u8]) -> Result<(), Malformed> {
        let mut room = Room::new();
        let owned = |it: proxy_http1::Field<'_>| (it.name.to_owned(), it.value.to_vec());
        let (event, framing) = match self.kind {
            Kind::Request => {
                let request = Request::parse(head, &mut room)?;
                let (path, query) = request.target.path_and_query();
                let head = Head {
                    method: request.method.to_owned(),
                    path: path.to_owned(),
                    query: query.map(str::to_owned),
                    authority: request.authority.map(str::to_owned),
                    version: request.version,
                    framing: request.framing,
                    persistence: request.persistence,
                    fields: request.fields.end_to_end().map(owned).collect(),
                };
                (Event::Request(head), request.framing)
            }
            Kind::Response => {
                let response = Response::parse(head, &mut room, Asked::Other)?;
                let event = Event::Response {
                    status: response.status,
                    framing: response.framing,
                    persistence: response.persistence,
                    fields: response.fields.end_to_end().map(owned).collect(),
                };
                (event, response.framing)
            }
        };
        self.body = Some(Body::new(framing, LIMIT as u64)?);
        self.events.push(event);
        Ok(())
    }
}
