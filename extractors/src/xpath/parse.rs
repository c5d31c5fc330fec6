//! Reads expressions.

use super::MAX_DEPTH;

/// An expression or a part of one.
#[derive(Debug)]
pub(super) enum Expression {
    Path(Path),
    Union(Vec<Self>),
    /// A path in parentheses, with what follows it.
    Filtered(Box<Self>, Vec<Self>, Vec<Step>),
    Text(String),
    Number(f64),
    Call(Function, Vec<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

#[derive(Debug)]
pub(super) struct Path {
    pub(super) is_absolute: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) axis: Axis,
    pub(super) test: Test,
    pub(super) predicates: Vec<Expression>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Axis {
    Child,
    Descendant,
    DescendantOrSelf,
    Parent,
    Ancestor,
    Itself,
    Attribute,
    FollowingSibling,
    PrecedingSibling,
}

#[derive(Debug)]
pub(super) enum Test {
    /// An element or attribute of this name.
    Name(String),
    /// Any element or attribute.
    Any,
    Text,
    Node,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Position,
    Last,
    Contains,
    StartsWith,
    NormalizeSpace,
    Not,
    Count,
    String,
    StringLength,
    Name,
}

/// The functions, with the least and the largest number of their arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 10] = [
    ("position", Function::Position, 0, 0),
    ("last", Function::Last, 0, 0),
    ("contains", Function::Contains, 2, 2),
    ("starts-with", Function::StartsWith, 2, 2),
    ("normalize-space", Function::NormalizeSpace, 0, 1),
    ("not", Function::Not, 1, 1),
    ("count", Function::Count, 1, 1),
    ("string", Function::String, 0, 1),
    ("string-length", Function::StringLength, 0, 1),
    ("name", Function::Name, 0, 0),
];

const AXES: [(&str, Axis); 9] = [
    ("child", Axis::Child),
    ("descendant", Axis::Descendant),
    ("descendant-or-self", Axis::DescendantOrSelf),
    ("parent", Axis::Parent),
    ("ancestor", Axis::Ancestor),
    ("self", Axis::Itself),
    ("attribute", Axis::Attribute),
    ("following-sibling", Axis::FollowingSibling),
    ("preceding-sibling", Axis::PrecedingSibling),
];

type Result<T> = std::result::Result<T, String>;

pub(super) fn parse(text: &str) -> Result<Expression> {
    let mut parser = Parser { rest: text, depth: 0 };
    let root = parser.or()?;
    parser.space();
    if !parser.rest.is_empty() {
        return Err(format!("`{}` can't stand there", crate::text::cut(parser.rest, 20)));
    }
    match root {
        Expression::Path(_) | Expression::Union(_) | Expression::Filtered(..) => Ok(root),
        _ => Err("it selects no nodes".to_owned()),
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.eat(token) { Ok(()) } else { Err(format!("`{token}` is missing")) }
    }

    /// `and` and `or` are words: what follows is no part of a name.
    fn eat_word(&mut self, word: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(word).filter(|rest| !rest.starts_with(is_name));
        rest.inspect(|rest| self.rest = rest).is_some()
    }

    fn or(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        let mut left = self.and()?;
        while self.eat_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression> {
        let mut left = self.comparison()?;
        while self.eat_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression> {
        let left = self.union()?;
        let signs = [
            ("!=", Comparison::Unequal),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        for (sign, comparison) in signs {
            if self.eat(sign) {
                return Ok(Expression::Compare(
                    comparison,
                    Box::new(left),
                    Box::new(self.union()?),
                ));
            }
        }
        Ok(left)
    }

    fn union(&mut self) -> Result<Expression> {
        let first = self.primary()?;
        if !self.eat("|") {
            return Ok(first);
        }
        let mut all = vec![first, self.primary()?];
        while self.eat("|") {
            all.push(self.primary()?);
        }
        Ok(Expression::Union(all))
    }

    fn primary(&mut self) -> Result<Expression> {
        self.space();
        let Some(first) = self.rest.chars().next() else {
            return Err("an expression is missing at the end".to_owned());
        };
        if matches!(first, '"' | '\'') {
            let rest = &self.rest[1..];
            let (text, rest) = rest.split_once(first).ok_or("a text has no end")?;
            self.rest = rest;
            return Ok(Expression::Text(text.to_owned()));
        }
        if first.is_ascii_digit() {
            let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.');
            let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest;
            return number
                .parse()
                .map(Expression::Number)
                .map_err(|_| format!("`{number}` is no number"));
        }
        if self.eat("(") {
            let inner = self.or()?;
            self.expect(")")?;
            let predicates = self.predicates()?;
            let steps = if self.rest.starts_with('/') { self.steps()? } else { Vec::new() };
            return Ok(Expression::Filtered(Box::new(inner), predicates, steps));
        }
        if let Some(call) = self.call()? {
            return Ok(call);
        }
        self.path().map(Expression::Path)
    }

    fn call(&mut self) -> Result<Option<Expression>> {
        let name = name_at(self.rest);
        let after = self.rest[name.len()..].trim_start();
        if name.is_empty() || !after.starts_with('(') || matches!(name, "text" | "node") {
            return Ok(None);
        }
        let Some((_, function, least, most)) = FUNCTIONS.iter().find(|found| found.0 == name)
        else {
            return Err(format!("there is no function `{name}`"));
        };
        self.rest = &after[1..];
        let mut arguments = Vec::new();
        if !self.eat(")") {
            arguments.push(self.or()?);
            while self.eat(",") {
                arguments.push(self.or()?);
            }
            self.expect(")")?;
        }
        if arguments.len() < *least || arguments.len() > *most {
            return Err(format!("`{name}` takes {most} arguments"));
        }
        Ok(Some(Expression::Call(*function, arguments)))
    }

    fn path(&mut self) -> Result<Path> {
        self.space();
        let is_absolute = self.rest.starts_with('/');
        if is_absolute {
            let steps = if self.rest.len() == 1 {
                return Err("it names no element".to_owned());
            } else {
                self.steps()?
            };
            return Ok(Path { is_absolute, steps });
        }
        let mut steps = vec![self.step()?];
        if self.rest.trim_start().starts_with('/') {
            self.space();
            steps.extend(self.steps()?);
        }
        Ok(Path { is_absolute, steps })
    }

    /// `/a//b`.
    fn steps(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.eat("//") {
                steps.push(Step {
                    axis: Axis::DescendantOrSelf,
                    test: Test::Node,
                    predicates: Vec::new(),
                });
            } else if !self.eat("/") {
                return Ok(steps);
            }
            steps.push(self.step()?);
        }
    }

    fn step(&mut self) -> Result<Step> {
        self.space();
        if self.eat("..") {
            return Ok(Step {
                axis: Axis::Parent,
                test: Test::Node,
                predicates: self.predicates()?,
            });
        }
        if self.eat(".") {
            return Ok(Step {
                axis: Axis::Itself,
                test: Test::Node,
                predicates: self.predicates()?,
            });
        }
        let axis = self.axis()?;
        let test = self.test()?;
        Ok(Step { axis, test, predicates: self.predicates()? })
    }

    fn axis(&mut self) -> Result<Axis> {
        if self.eat("@") {
            return Ok(Axis::Attribute);
        }
        let name = name_at(self.rest);
        let Some(after) = self.rest[name.len()..].strip_prefix("::") else {
            return Ok(Axis::Child);
        };
        let Some((_, axis)) = AXES.iter().find(|(known, _)| *known == name) else {
            return Err(format!("there is no axis `{name}`"));
        };
        self.rest = after;
        Ok(*axis)
    }

    fn test(&mut self) -> Result<Test> {
        if self.eat("*") {
            return Ok(Test::Any);
        }
        let name = name_at(self.rest);
        if name.is_empty() {
            return Err(match self.rest.chars().next() {
                Some(c) => format!("`{c}` can't stand there"),
                None => "an expression is missing at the end".to_owned(),
            });
        }
        self.rest = &self.rest[name.len()..];
        if matches!(name, "text" | "node") && self.eat("(") {
            self.expect(")")?;
            return Ok(if name == "text" { Test::Text } else { Test::Node });
        }
        Ok(Test::Name(name.to_ascii_lowercase()))
    }

    fn predicates(&mut self) -> Result<Vec<Expression>> {
        let mut predicates = Vec::new();
        while self.eat("[") {
            predicates.push(self.or()?);
            self.expect("]")?;
        }
        Ok(predicates)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_')
}

fn name_at(text: &str) -> &str {
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    &text[..end]
}
