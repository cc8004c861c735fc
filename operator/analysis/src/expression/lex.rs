//! From text to tokens.

use std::fmt;

use super::Problem;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Identifier,
    Number,
    String,
    Operator,
    Bracket,
    End,
}

/// A token. The value of a string is what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub value: String,
}

impl Token {
    pub(super) fn is(&self, kind: Kind, value: &str) -> bool {
        self.kind == kind && self.value == value
    }

    pub(super) fn operator(&self, value: &str) -> bool {
        self.is(Kind::Operator, value)
    }

    pub(super) fn bracket(&self, value: &str) -> bool {
        self.is(Kind::Bracket, value)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Identifier => "Identifier",
            Kind::Number => "Number",
            Kind::String => "String",
            Kind::Operator => "Operator",
            Kind::Bracket => "Bracket",
            Kind::End => return f.write_str("EOF"),
        };
        write!(f, "{kind}({:?})", self.value)
    }
}

/// Words that are operators.
const WORDS: [&str; 10] =
    ["in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"];

/// All tokens, closed by [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut lexer = Lexer { rest: text, tokens: Vec::new() };
    while let Some(next) = lexer.rest.chars().next() {
        lexer.token(next)?;
    }
    lexer.push(Kind::End, String::new());
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn push(&mut self, kind: Kind, value: impl Into<String>) {
        self.tokens.push(Token { kind, value: value.into() });
    }

    /// Takes `length` bytes as a token.
    fn take(&mut self, kind: Kind, length: usize) {
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.push(kind, value);
    }

    fn token(&mut self, next: char) -> Result<(), Problem> {
        let second = self.rest[next.len_utf8()..].chars().next();
        let twice = |with: &str| second.is_some_and(|it| with.contains(it));
        match next {
            ' ' | '\t' | '\r' | '\n' => self.rest = &self.rest[1..],
            '"' | '\'' => self.quoted(next)?,
            '`' => {
                let end = self.rest[1..].find('`').ok_or_else(|| Problem::new("literal not terminated"))?;
                let value = self.rest[1..=end].to_owned();
                self.rest = &self.rest[end + 2..];
                self.push(Kind::String, value);
            }
            '0'..='9' => self.number()?,
            '/' if second == Some('/') => {
                self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
            }
            '/' if second == Some('*') => {
                let end = self.rest.find("*/").ok_or_else(|| Problem::new("unclosed comment"))?;
                self.rest = &self.rest[end + 2..];
            }
            '#' => {
                self.take(Kind::Operator, 1);
                let length = word(self.rest).len();
                if length > 0 {
                    self.take(Kind::Identifier, length);
                }
            }
            '(' | '[' | '{' | ')' | ']' | '}' => self.take(Kind::Bracket, 1),
            '/' | ',' | ';' | '%' | '+' | '-' | '^' => self.take(Kind::Operator, 1),
            '|' => self.take(Kind::Operator, if twice("|") { 2 } else { 1 }),
            ':' => self.take(Kind::Operator, if twice(":") { 2 } else { 1 }),
            '&' | '!' | '=' | '*' | '<' | '>' => {
                self.take(Kind::Operator, if twice("&=*") { 2 } else { 1 });
            }
            '.' if second.is_some_and(|it| it.is_ascii_digit()) => self.number()?,
            '.' => self.take(Kind::Operator, if twice(".") { 2 } else { 1 }),
            '?' => self.take(Kind::Operator, if twice(".?") { 2 } else { 1 }),
            _ if is_word(next) => self.word(),
            _ => {
                return Err(Problem(format!("unrecognized character: U+{:04X} '{next}'", u32::from(next))));
            }
        }
        Ok(())
    }

    fn word(&mut self) {
        let word = word(self.rest);
        let kind = if word == "not" || WORDS.contains(&word) { Kind::Operator } else { Kind::Identifier };
        self.take(kind, word.len());
    }

    fn number(&mut self) -> Result<(), Problem> {
        let bytes = self.rest.as_bytes();
        let digits_from = |from: usize, is: fn(&u8) -> bool| {
            from + bytes[from..].iter().take_while(|it| is(it) || **it == b'_').count()
        };
        let prefixed = bytes[0] == b'0' && bytes.get(1).is_some_and(|it| b"xXoObB".contains(it));
        let mut end = match bytes.get(1) {
            Some(b'x' | b'X') if prefixed => digits_from(2, u8::is_ascii_hexdigit),
            _ if prefixed => digits_from(2, u8::is_ascii_digit),
            _ => digits_from(0, u8::is_ascii_digit),
        };
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.') {
            end = digits_from(end + 1, u8::is_ascii_digit);
        }
        if !prefixed && bytes.get(end).is_some_and(|it| b"eE".contains(it)) {
            end += 1;
            if bytes.get(end).is_some_and(|it| b"+-".contains(it)) {
                end += 1;
            }
            end = digits_from(end, u8::is_ascii_digit);
        }
        if let Some(next) = self.rest[end..].chars().next().filter(|it| is_word(*it)) {
            let wrong = &self.rest[..end + next.len_utf8()];
            return Err(Problem(format!("bad number syntax: {wrong:?}")));
        }
        self.take(Kind::Number, end);
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), Problem> {
        let unterminated = || Problem::new("literal not terminated");
        let mut value = String::new();
        let mut chars = self.rest[1..].char_indices();
        loop {
            match chars.next().ok_or_else(unterminated)? {
                (_, '\n') => return Err(unterminated()),
                (_, '\\') => value.push(escaped(&mut chars)?),
                (at, next) if next == quote => {
                    self.rest = &self.rest[at + 2..];
                    self.push(Kind::String, value);
                    return Ok(());
                }
                (_, next) => value.push(next),
            }
        }
    }
}

/// What stands after a backslash.
fn escaped(chars: &mut impl Iterator<Item = (usize, char)>) -> Result<char, Problem> {
    let (_, next) = chars.next().ok_or_else(|| Problem::new("literal not terminated"))?;
    let mut coded = |digits: usize, radix: u32| {
        let text: String = chars.by_ref().take(digits).map(|(_, it)| it).collect();
        let code = u32::from_str_radix(&text, radix).ok().filter(|_| text.len() == digits);
        code.and_then(char::from_u32).ok_or_else(|| Problem::new("invalid syntax"))
    };
    Ok(match next {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '\'' | '"' | '`' | '?' => next,
        'x' => coded(2, 16)?,
        'u' => coded(4, 16)?,
        'U' => coded(8, 16)?,
        '0'..='3' => {
            let rest: String = chars.by_ref().take(2).map(|(_, it)| it).collect();
            let code = u32::from_str_radix(&format!("{next}{rest}"), 8).ok().filter(|_| rest.len() == 2);
            code.and_then(char::from_u32).ok_or_else(|| Problem::new("invalid syntax"))?
        }
        _ => return Err(Problem(format!("unknown escape sequence: \\{next}"))),
    })
}

fn word(text: &str) -> &str {
    &text[..text.find(|it| !is_word(it)).unwrap_or(text.len())]
}

fn is_word(character: char) -> bool {
    character == '_' || character == '$' || character.is_alphanumeric()
}
