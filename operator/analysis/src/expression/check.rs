//! What is wrong with an expression before it is run: unknown names, operators between values that do not go together,
//! fields of things that have none. Argo compiles a condition against the very type of the measured value, so these
//! errors depend on it.

use regex::Regex;

use super::{Problem, builtin, kind::Kind, tree::Node, value::Value};

/// The type of an expression over a `result` of a type.
pub(super) fn check(node: &Node, result: &Kind) -> Result<Kind, Problem> {
    Checker { result, variables: Vec::new(), items: Vec::new() }.visit(node)
}

struct Checker<'a> {
    result: &'a Kind,
    /// Variables of `let`, the innermost last.
    variables: Vec<(String, Kind)>,
    /// Elements of the lists of the closures around.
    items: Vec<Kind>,
}

fn error<T>(message: String) -> Result<T, Problem> {
    Err(Problem(message))
}

impl Checker<'_> {
    fn visit(&mut self, node: &Node) -> Result<Kind, Problem> {
        match node {
            Node::Literal(value) => Ok(Kind::of(value)),
            Node::Name(name) => self.name(name),
            Node::Item(name) => Ok(match name.as_str() {
                "" => self.items.last().cloned().unwrap_or(Kind::Unknown),
                "index" => Kind::Int,
                "acc" => Kind::Unknown,
                _ => return error(format!("unknown pointer #{name}")),
            }),
            Node::List(items) => self.list(items),
            Node::Map(fields) => {
                for (key, value) in fields {
                    self.visit(key)?;
                    self.visit(value)?;
                }
                Ok(Kind::Map)
            }
            Node::Unary { operator, operand } => self.unary(operator, operand),
            Node::Binary { operator, left, right } => self.binary(operator, left, right),
            Node::Comparisons { first, rest } => {
                let mut left = self.visit(first)?;
                for (operator, right) in rest {
                    let right = self.visit(right)?;
                    binary(operator, &left, &right)?;
                    left = right;
                }
                Ok(Kind::Bool)
            }
            Node::Member { of, property, .. } => self.member(of, property),
            Node::Chain(node) => self.visit(node),
            Node::Slice { of, from, to } => self.slice(of, from.as_deref(), to.as_deref()),
            Node::Choice { condition, then, otherwise } => self.choice(condition, then, otherwise),
            Node::Let { name, value, body } => {
                let value = self.visit(value)?;
                self.variables.push((name.clone(), value));
                let body = self.visit(body);
                self.variables.pop();
                body
            }
            Node::Sequence(nodes) => {
                let mut last = Kind::Nil;
                for node in nodes {
                    last = self.visit(node)?;
                }
                Ok(last)
            }
            Node::Call { function, arguments } => {
                let kinds = self.all(arguments)?;
                builtin::signature(function, &kinds)
            }
            Node::Method { of, name, arguments } => {
                let of = self.visit(of)?;
                self.all(arguments)?;
                match of {
                    Kind::Unknown => Ok(Kind::Unknown),
                    Kind::Time | Kind::Span => builtin::method(&of, name),
                    of => error(format!("type {of} has no method {name}")),
                }
            }
            Node::Each { function, list, closure, third } => {
                self.each(function, list, closure.as_deref(), third.as_deref())
            }
        }
    }

    fn all(&mut self, nodes: &[Node]) -> Result<Vec<Kind>, Problem> {
        nodes.iter().map(|it| self.visit(it)).collect()
    }

    fn name(&self, name: &str) -> Result<Kind, Problem> {
        if let Some((_, kind)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return Ok(kind.clone());
        }
        match name {
            "result" => Ok(self.result.clone()),
            "$env" => Ok(Kind::Map),
            _ if builtin::is_ours(name) => Ok(Kind::Unknown),
            _ => error(format!("unknown name {name}")),
        }
    }

    /// The elements of a list are of one type or of any.
    fn list(&mut self, items: &[Node]) -> Result<Kind, Problem> {
        let kinds = self.all(items)?;
        let element = match kinds.split_first() {
            Some((first, rest)) if rest.iter().all(|it| it == first) => first.clone(),
            _ => Kind::Unknown,
        };
        Ok(Kind::List(Box::new(element)))
    }

    fn unary(&mut self, operator: &str, operand: &Node) -> Result<Kind, Problem> {
        let kind = self.visit(operand)?;
        match operator {
            "!" | "not" if matches!(kind, Kind::Bool | Kind::Unknown) => Ok(Kind::Bool),
            "+" | "-" if kind.is_number() || kind.is_unknown() => Ok(kind),
            _ => error(format!("invalid operation: {operator} (mismatched type {kind})")),
        }
    }

    fn binary(&mut self, operator: &str, left: &Node, right: &Node) -> Result<Kind, Problem> {
        let (kind, other) = (self.visit(left)?, self.visit(right)?);
        if operator == "matches"
            && let Node::Literal(Value::String(pattern)) = right
            && let Err(why) = Regex::new(pattern)
        {
            return Err(Problem::of_pattern(pattern, &why));
        }
        if operator == "%"
            && let (Node::Literal(Value::Int(_)), Node::Literal(Value::Int(0))) = (left, right)
        {
            return error("integer divide by zero".to_owned());
        }
        binary(operator, &kind, &other)
    }

    fn member(&mut self, of: &Node, property: &Node) -> Result<Kind, Problem> {
        if let (Node::Name(name), Node::Literal(Value::String(property))) = (of, property)
            && name == "$env"
        {
            return self.name(property);
        }
        let (of, kind) = (self.visit(of)?, self.visit(property)?);
        match &of {
            Kind::Unknown => Ok(Kind::Unknown),
            Kind::Map if !matches!(kind, Kind::String | Kind::Unknown) => {
                error(format!("cannot use {kind} to get an element from {of}"))
            }
            Kind::List(_) | Kind::Floats if !kind.is_whole() && !kind.is_unknown() => {
                error(format!("array elements can only be selected using an integer (got {kind})"))
            }
            Kind::Map | Kind::Groups | Kind::List(_) | Kind::Floats => Ok(of.element()),
            _ => match property {
                Node::Literal(Value::String(name)) => error(format!("type {of} has no field {name}")),
                _ => error(format!("type {of}[{kind}] is undefined")),
            },
        }
    }

    fn slice(&mut self, of: &Node, from: Option<&Node>, to: Option<&Node>) -> Result<Kind, Problem> {
        let of = self.visit(of)?;
        if !(of.is_list() || matches!(of, Kind::String | Kind::Unknown)) {
            return error(format!("cannot slice {of}"));
        }
        for bound in [from, to].into_iter().flatten() {
            let kind = self.visit(bound)?;
            if !kind.is_whole() && !kind.is_unknown() {
                return error(format!("non-integer slice index {kind}"));
            }
        }
        Ok(of)
    }

    fn choice(&mut self, condition: &Node, then: &Node, otherwise: &Node) -> Result<Kind, Problem> {
        let kind = self.visit(condition)?;
        if !matches!(kind, Kind::Bool | Kind::Unknown) {
            return error(format!("non-bool expression (type {kind}) used as condition"));
        }
        let (then, otherwise) = (self.visit(then)?, self.visit(otherwise)?);
        Ok(if then == otherwise { then } else { Kind::Unknown })
    }

    fn each(
        &mut self,
        function: &str,
        list: &Node,
        closure: Option<&Node>,
        third: Option<&Node>,
    ) -> Result<Kind, Problem> {
        let list = self.visit(list)?;
        if !list.is_list() && !list.is_unknown() {
            return error(format!("builtin {function} takes only array (got {list})"));
        }
        self.items.push(list.element());
        let given = closure.map(|it| self.visit(it)).transpose();
        self.items.pop();
        let given = given?;
        if let Some(third) = third {
            self.visit(third)?;
        }
        let tests = !matches!(function, "map" | "groupBy" | "sortBy" | "reduce" | "sum");
        if tests
            && let Some(kind) = &given
            && !matches!(kind, Kind::Bool | Kind::Unknown)
        {
            return error(format!("predicate should return boolean (got {kind})"));
        }
        Ok(match function {
            "all" | "none" | "any" | "one" => Kind::Bool,
            "filter" | "sortBy" => Kind::List(Box::new(list.element())),
            "map" => Kind::List(Box::new(given.unwrap_or(Kind::Unknown))),
            "find" | "findLast" => list.element(),
            "findIndex" | "findLastIndex" | "count" => Kind::Int,
            "groupBy" => Kind::Groups,
            "sum" => given.unwrap_or_else(|| list.element()),
            _ => Kind::Unknown,
        })
    }
}

/// The type of an operation, if its operands go together.
fn binary(operator: &str, left: &Kind, right: &Kind) -> Result<Kind, Problem> {
    use Kind::{Bool, Float, Groups, Int, Map, Span, String, Time, Unknown};
    // One is known to fit and the other is not known, or neither is known.
    let either = |fits: &dyn Fn(&Kind) -> bool| match (left, right) {
        (Unknown, Unknown) => true,
        (Unknown, known) | (known, Unknown) => fits(known),
        _ => false,
    };
    let both = |fits: &dyn Fn(&Kind) -> bool| fits(left) && fits(right);
    let number = |it: &Kind| it.is_number();
    let text = |it: &Kind| *it == String;
    let ordered = |it: &Kind| it.is_number() || matches!(it, String | Time | Span);
    let combined = || if left.is_whole() && right.is_whole() { Int } else { Float };
    let kind = match operator {
        "==" | "!=" if left.compares_with(right) => Some(Bool),
        "or" | "||" | "and" | "&&" => {
            let flag = |it: &Kind| *it == Bool;
            (both(&flag) || either(&flag)).then_some(Bool)
        }
        "<" | ">" | ">=" | "<=" => {
            let same = both(&number) || left == right && ordered(left);
            (same || either(&ordered)).then_some(Bool)
        }
        "+" | "-" | "*" => match (left, right) {
            _ if both(&number) => Some(combined()),
            (String, String) if operator == "+" => Some(String),
            (Time, Span) | (Span, Time) if operator != "*" => Some(Time),
            (Time, Time) if operator == "-" => Some(Span),
            (Span, Span) if operator != "*" => Some(Span),
            _ => {
                let fits = |it: &Kind| {
                    it.is_number() || matches!(it, Time | Span) || *it == String && operator == "+"
                };
                either(&fits).then_some(Unknown)
            }
        },
        "/" | "**" | "^" => (both(&number) || either(&number)).then_some(Float),
        "%" => {
            let whole = |it: &Kind| it.is_whole();
            (both(&whole) || either(&whole)).then_some(Int)
        }
        ".." => {
            let whole = |it: &Kind| it.is_whole();
            (both(&whole) || either(&whole)).then(|| Kind::List(Box::new(Int)))
        }
        "matches" | "contains" | "startsWith" | "endsWith" => (both(&text) || either(&text)).then_some(Bool),
        "in" => match right {
            Map if !matches!(left, String | Unknown) => {
                return error(format!("cannot use {left} as type string in map key"));
            }
            Map | Groups | Unknown => Some(Bool),
            list if list.is_list() => {
                if !left.compares_with(&list.element()) {
                    return error(format!("cannot use {left} as type {} in array", list.element()));
                }
                Some(Bool)
            }
            String if left.is_unknown() => Some(Bool),
            _ => None,
        },
        "??" => Some(match (left, right) {
            (Kind::Nil, other) | (other, Kind::Nil) => other.clone(),
            _ if left == right => left.clone(),
            _ => Unknown,
        }),
        _ => None,
    };
    match kind {
        Some(kind) => Ok(kind),
        None => error(format!("invalid operation: {operator} (mismatched types {left} and {right})")),
    }
}
