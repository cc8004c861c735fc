//! From tokens to a tree. Operators bind as in expr-lang, and messages are its own.

use super::{
    MOST_NESTED, Problem,
    lex::{Kind, Token},
    tree::Node,
    value::Value,
};

/// How strongly an operator between two operands binds, and whether it binds to the right.
fn binding(operator: &str) -> Option<(u32, bool)> {
    Some(match operator {
        "|" => (0, false),
        "or" | "||" => (10, false),
        "and" | "&&" => (15, false),
        "==" | "!=" | "<" | ">" | ">=" | "<=" | "in" | "matches" | "contains" | "startsWith" | "endsWith" => {
            (20, false)
        }
        ".." => (25, false),
        "+" | "-" => (30, false),
        "*" | "/" | "%" => (60, false),
        "**" | "^" => (100, true),
        "??" => (500, false),
        _ => return None,
    })
}

fn unary_binding(operator: &str) -> Option<u32> {
    Some(match operator {
        "not" | "!" => 50,
        "-" | "+" => 90,
        _ => return None,
    })
}

/// What functions with a closure take after the list.
#[derive(Clone, Copy)]
struct Shape {
    optional_closure: bool,
    third: bool,
}

fn shape(function: &str) -> Option<Shape> {
    let of = |optional_closure, third| Some(Shape { optional_closure, third });
    match function {
        "all" | "none" | "any" | "one" | "filter" | "map" | "find" | "findIndex" | "findLast"
        | "findLastIndex" | "groupBy" => of(false, false),
        "count" | "sum" => of(true, false),
        "sortBy" | "reduce" => of(false, true),
        _ => None,
    }
}

/// The tree of all tokens.
pub(super) fn parse(tokens: Vec<Token>) -> Result<Node, Problem> {
    let mut parser = Parser { tokens, position: 0, nested: 0, closures: 0 };
    let node = parser.sequence()?;
    if parser.current().kind == Kind::End { Ok(node) } else { parser.unexpected() }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    /// Expressions around the current one.
    nested: u32,
    /// Closures around the current one.
    closures: u32,
}

impl Parser {
    fn current(&self) -> &Token {
        &self.tokens[self.position]
    }

    fn next(&mut self) -> Result<(), Problem> {
        if self.position + 1 >= self.tokens.len() {
            return Err(Problem::new("unexpected end of expression"));
        }
        self.position += 1;
        Ok(())
    }

    fn unexpected<T>(&self) -> Result<T, Problem> {
        Err(Problem(format!("unexpected token {}", self.current())))
    }

    fn expect(&mut self, kind: Kind, value: &str) -> Result<(), Problem> {
        if self.current().is(kind, value) { self.next() } else { self.unexpected() }
    }

    fn close(&mut self, bracket: &str) -> Result<(), Problem> {
        self.expect(Kind::Bracket, bracket)
    }

    fn name(&mut self) -> Result<String, Problem> {
        if self.current().kind != Kind::Identifier {
            return self.unexpected();
        }
        let name = self.current().value.clone();
        self.next()?;
        Ok(name)
    }

    fn sequence(&mut self) -> Result<Node, Problem> {
        let mut nodes = vec![self.expression(0)?];
        while self.current().operator(";") {
            self.next()?;
            if self.current().kind == Kind::End {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Sequence(nodes) })
    }

    fn expression(&mut self, least: u32) -> Result<Node, Problem> {
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return Err(Problem(format!("the condition nests deeper than {MOST_NESTED} levels")));
        }
        let node = self.operators(least);
        self.nested -= 1;
        node
    }

    fn operators(&mut self, least: u32) -> Result<Node, Problem> {
        if least == 0 && self.current().operator("let") {
            return self.variable();
        }
        if least == 0 && self.current().operator("if") {
            return self.conditional();
        }
        let mut left = self.primary()?;
        let mut previous = String::new();
        while self.current().kind == Kind::Operator {
            let start = self.position;
            let negated = self.current().operator("not");
            if negated {
                self.next()?;
                let word = self.current().value.as_str();
                if !matches!(word, "in" | "matches" | "contains" | "startsWith" | "endsWith") {
                    return self.unexpected();
                }
            }
            let operator = self.current().value.clone();
            let Some((strength, right)) = binding(&operator).filter(|(strength, _)| *strength >= least)
            else {
                self.position = start;
                break;
            };
            self.next()?;
            if operator == "|" {
                let function = self.name()?;
                let call = self.call(function, Some(left))?;
                left = self.postfix(call)?;
            } else if previous == "??" && operator != "??" {
                return Err(Problem(format!(
                    "Operator ({operator}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
                )));
            } else if is_comparison(&operator) {
                left = self.comparison(left, operator.clone(), strength)?;
            } else {
                let operand = self.expression(if right { strength } else { strength + 1 })?;
                left = binary(&operator, left, operand);
                if negated {
                    left = Node::Unary { operator: "not".to_owned(), operand: Box::new(left) };
                }
            }
            previous = operator;
        }
        if least == 0 { self.choice(left) } else { Ok(left) }
    }

    /// `a < b`, or several in a row.
    fn comparison(&mut self, left: Node, operator: String, strength: u32) -> Result<Node, Problem> {
        let mut rest = vec![(operator, self.expression(strength + 1)?)];
        while self.current().kind == Kind::Operator && is_comparison(&self.current().value) {
            let operator = self.current().value.clone();
            self.next()?;
            rest.push((operator, self.expression(strength + 1)?));
        }
        Ok(match <[_; 1]>::try_from(rest) {
            Ok([(operator, right)]) => binary(&operator, left, right),
            Err(rest) => Node::Comparisons { first: Box::new(left), rest },
        })
    }

    fn choice(&mut self, mut node: Node) -> Result<Node, Problem> {
        while self.current().operator("?") {
            self.next()?;
            let then = if self.current().operator(":") { node.clone() } else { self.expression(0)? };
            self.expect(Kind::Operator, ":")?;
            let otherwise = self.expression(0)?;
            node = choice(node, then, otherwise);
        }
        Ok(node)
    }

    fn variable(&mut self) -> Result<Node, Problem> {
        self.next()?;
        let name = self.name()?;
        self.expect(Kind::Operator, "=")?;
        let value = Box::new(self.expression(0)?);
        self.expect(Kind::Operator, ";")?;
        let body = Box::new(self.sequence()?);
        Ok(Node::Let { name, value, body })
    }

    fn conditional(&mut self) -> Result<Node, Problem> {
        self.next()?;
        let condition = self.expression(0)?;
        let then = self.block()?;
        self.expect(Kind::Operator, "else")?;
        let otherwise = if self.current().operator("if") { self.expression(0)? } else { self.block()? };
        Ok(choice(condition, then, otherwise))
    }

    fn block(&mut self) -> Result<Node, Problem> {
        self.expect(Kind::Bracket, "{")?;
        let node = self.sequence()?;
        self.close("}")?;
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, Problem> {
        let token = self.current().clone();
        if token.kind == Kind::Operator
            && let Some(strength) = unary_binding(&token.value)
        {
            self.next()?;
            let operand = Box::new(self.expression(strength)?);
            return self.postfix(Node::Unary { operator: token.value, operand });
        }
        if token.bracket("(") {
            self.next()?;
            let node = self.sequence()?;
            self.close(")")?;
            return self.postfix(node);
        }
        if self.closures > 0 && (token.operator("#") || token.operator(".")) {
            let mut name = String::new();
            if token.operator("#") {
                self.next()?;
                if self.current().kind == Kind::Identifier {
                    name = self.name()?;
                }
            }
            return self.postfix(Node::Item(name));
        }
        let node = self.operand(&token)?;
        self.postfix(node)
    }

    fn operand(&mut self, token: &Token) -> Result<Node, Problem> {
        match token.kind {
            Kind::Identifier => {
                self.next()?;
                match token.value.as_str() {
                    "true" => Ok(Node::Literal(Value::Bool(true))),
                    "false" => Ok(Node::Literal(Value::Bool(false))),
                    "nil" => Ok(Node::Literal(Value::Nil)),
                    _ if self.current().bracket("(") => self.call(token.value.clone(), None),
                    name => Ok(Node::Name(name.to_owned())),
                }
            }
            Kind::Number => {
                self.next()?;
                number(&token.value).map(Node::Literal)
            }
            Kind::String => {
                self.next()?;
                Ok(Node::Literal(Value::text(token.value.as_str())))
            }
            Kind::Bracket if token.value == "[" => self.list(),
            Kind::Bracket if token.value == "{" => self.map(),
            Kind::Bracket | Kind::Operator | Kind::End => self.unexpected(),
        }
    }

    fn list(&mut self) -> Result<Node, Problem> {
        self.next()?;
        let mut items = Vec::new();
        while !self.current().bracket("]") {
            if !items.is_empty() {
                self.expect(Kind::Operator, ",")?;
                if self.current().bracket("]") {
                    break;
                }
            }
            items.push(self.expression(0)?);
        }
        self.close("]")?;
        Ok(Node::List(items))
    }

    fn map(&mut self) -> Result<Node, Problem> {
        self.next()?;
        let mut fields = Vec::new();
        while !self.current().bracket("}") {
            if !fields.is_empty() {
                self.expect(Kind::Operator, ",")?;
                if self.current().bracket("}") {
                    break;
                }
            }
            let token = self.current().clone();
            let key = match token.kind {
                Kind::Number | Kind::String | Kind::Identifier => {
                    self.next()?;
                    Node::Literal(Value::text(token.value))
                }
                Kind::Bracket if token.value == "(" => self.expression(0)?,
                Kind::Bracket | Kind::Operator | Kind::End => {
                    return Err(Problem(format!(
                        "a map key must be a quoted string, a number, a identifier, or an expression enclosed in \
                         parentheses (unexpected token {token})"
                    )));
                }
            };
            self.expect(Kind::Operator, ":")?;
            fields.push((key, self.expression(0)?));
        }
        self.close("}")?;
        Ok(Node::Map(fields))
    }

    /// A call; `piped` is what stands before the `|`.
    fn call(&mut self, function: String, piped: Option<Node>) -> Result<Node, Problem> {
        let Some(shape) = shape(&function) else {
            let arguments = self.arguments(piped)?;
            return Ok(Node::Call { function, arguments });
        };
        self.expect(Kind::Bracket, "(")?;
        let few = |count: usize| Err(Problem(format!("expected at least {count} arguments")));
        let wanted = if shape.optional_closure { 1 } else { 2 };
        let list = match piped {
            Some(list) => list,
            None if self.current().bracket(")") => return few(wanted),
            None => {
                let list = self.expression(0)?;
                if !self.current().bracket(")") {
                    self.expect(Kind::Operator, ",")?;
                }
                list
            }
        };
        let closure = match self.current().bracket(")") {
            true if shape.optional_closure => None,
            true => return few(wanted),
            false => Some(Box::new(self.closure()?)),
        };
        let mut third = None;
        if shape.third && self.current().operator(",") {
            self.next()?;
            if !self.current().bracket(")") {
                third = Some(Box::new(self.expression(0)?));
            }
        }
        if self.current().operator(",") {
            self.next()?;
        }
        self.close(")")?;
        Ok(Node::Each { function, list: Box::new(list), closure, third })
    }

    fn arguments(&mut self, piped: Option<Node>) -> Result<Vec<Node>, Problem> {
        self.expect(Kind::Bracket, "(")?;
        let mut arguments: Vec<Node> = piped.into_iter().collect();
        let given = arguments.len();
        while !self.current().bracket(")") {
            if arguments.len() > given {
                self.expect(Kind::Operator, ",")?;
                if self.current().bracket(")") {
                    break;
                }
            }
            arguments.push(self.expression(0)?);
        }
        self.close(")")?;
        Ok(arguments)
    }

    fn closure(&mut self) -> Result<Node, Problem> {
        let braced = self.current().bracket("{");
        if braced {
            self.next()?;
        }
        self.closures += 1;
        let node = if braced { self.sequence() } else { self.expression(0) };
        self.closures -= 1;
        let node = node?;
        if braced {
            self.close("}")?;
        } else if self.current().operator(";") {
            return Err(Problem::new("wrap predicate with brackets { and }"));
        }
        Ok(node)
    }

    fn postfix(&mut self, mut node: Node) -> Result<Node, Problem> {
        loop {
            let token = self.current().clone();
            let optional = token.operator("?.");
            if token.operator(".") || optional {
                self.next()?;
                if optional && self.current().bracket("[") {
                    node = self.index(node, true)?;
                    continue;
                }
                let property = self.current().clone();
                self.next()?;
                let is_word =
                    property.value.starts_with(|it: char| it.is_alphabetic() || it == '_' || it == '$');
                if property.kind != Kind::Identifier && !(property.kind == Kind::Operator && is_word) {
                    return Err(Problem::new("expected name"));
                }
                node = self.member(node, property.value, optional)?;
            } else if token.bracket("[") {
                node = self.index(node, false)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn member(&mut self, node: Node, name: String, optional: bool) -> Result<Node, Problem> {
        if self.current().bracket("(") {
            let arguments = self.arguments(None)?;
            return Ok(chained(node, optional, |of| Node::Method { of, name, arguments }));
        }
        let property = Box::new(Node::Literal(Value::text(name)));
        Ok(chained(node, optional, |of| Node::Member { of, property, optional }))
    }

    fn index(&mut self, node: Node, optional: bool) -> Result<Node, Problem> {
        self.close("[")?;
        let from = if self.current().operator(":") { None } else { Some(Box::new(self.expression(0)?)) };
        if !self.current().operator(":")
            && let Some(property) = from
        {
            self.close("]")?;
            return Ok(chained(node, optional, |of| Node::Member { of, property, optional }));
        }
        self.next()?;
        let to = if self.current().bracket("]") { None } else { Some(Box::new(self.expression(0)?)) };
        self.close("]")?;
        Ok(Node::Slice { of: Box::new(node), from, to })
    }
}

/// One more link. A chain with a `?.` in it ends where the links end.
fn chained(node: Node, optional: bool, link: impl FnOnce(Box<Node>) -> Node) -> Node {
    match node {
        Node::Chain(node) => Node::Chain(Box::new(link(node))),
        node if optional => Node::Chain(Box::new(link(Box::new(node)))),
        node => link(Box::new(node)),
    }
}

fn binary(operator: &str, left: Node, right: Node) -> Node {
    Node::Binary { operator: operator.to_owned(), left: Box::new(left), right: Box::new(right) }
}

fn choice(condition: Node, then: Node, otherwise: Node) -> Node {
    Node::Choice { condition: Box::new(condition), then: Box::new(then), otherwise: Box::new(otherwise) }
}

fn is_comparison(operator: &str) -> bool {
    matches!(operator, "<" | ">" | "<=" | ">=")
}

fn number(written: &str) -> Result<Value, Problem> {
    let plain = written.replace('_', "");
    let lower = plain.to_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).map(Value::Int).map_err(|_| {
                Problem(format!(
                    "invalid integer literal: strconv.ParseInt: parsing {plain:?}: invalid syntax"
                ))
            });
        }
    }
    if lower.contains(['.', 'e']) {
        return plain.parse().map(Value::Float).map_err(|_| {
            Problem(format!("invalid float literal: strconv.ParseFloat: parsing {plain:?}: invalid syntax"))
        });
    }
    plain.parse().map(Value::Int).map_err(|_| {
        Problem(format!("invalid integer literal: strconv.ParseInt: parsing {plain:?}: value out of range"))
    })
}
