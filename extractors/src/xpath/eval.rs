//! Evaluates expressions on a page's tree.

use std::cell::Cell;

use super::{
    MAX_VISITS, Node,
    parse::{Axis, Comparison, Expression, Function, Step, Test},
};
use crate::tree::Tree;

/// The most nodes of one side of a comparison.
const MAX_COMPARED: usize = 1_000;
/// The longest text that is compared, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;

pub(super) fn select(expression: &Expression, tree: &Tree<'_>, from: Node) -> Vec<Node> {
    let evaluator = Evaluator { tree, visits: Cell::new(0) };
    match evaluator.value(expression, Context { node: from, position: 1, size: 1 }) {
        Value::Nodes(nodes) => nodes,
        _ => Vec::new(),
    }
}

#[derive(Debug)]
enum Value {
    Nodes(Vec<Node>),
    Text(String),
    Number(f64),
    Boolean(bool),
}

/// The node that an expression is about, and its place among those like it.
#[derive(Clone, Copy)]
struct Context {
    node: Node,
    position: usize,
    size: usize,
}

struct Evaluator<'a> {
    tree: &'a Tree<'a>,
    visits: Cell<usize>,
}

impl Evaluator<'_> {
    /// Counts a visit; false when there have been too many.
    fn visit(&self, nodes: usize) -> bool {
        self.visits.set(self.visits.get() + nodes);
        self.visits.get() <= MAX_VISITS
    }

    fn value(&self, expression: &Expression, context: Context) -> Value {
        match expression {
            Expression::Path(path) => {
                let start = if path.is_absolute { Node::of(0) } else { context.node };
                Value::Nodes(self.walk(vec![start], &path.steps))
            }
            Expression::Union(parts) => {
                let mut nodes = Vec::new();
                for part in parts {
                    if let Value::Nodes(found) = self.value(part, context) {
                        nodes.extend(found);
                    }
                }
                Value::Nodes(in_order(nodes))
            }
            Expression::Filtered(inner, predicates, steps) => match self.value(inner, context) {
                Value::Nodes(mut nodes) => {
                    for predicate in predicates {
                        nodes = self.filter(nodes, predicate);
                    }
                    Value::Nodes(if steps.is_empty() { nodes } else { self.walk(nodes, steps) })
                }
                other => other,
            },
            Expression::Text(text) => Value::Text(text.clone()),
            Expression::Number(number) => Value::Number(*number),
            Expression::Call(function, arguments) => self.call(*function, arguments, context),
            Expression::Compare(comparison, left, right) => {
                let (left, right) = (self.value(left, context), self.value(right, context));
                Value::Boolean(self.compare(*comparison, &left, &right))
            }
            Expression::And(left, right) => {
                Value::Boolean(self.is_true(left, context) && self.is_true(right, context))
            }
            Expression::Or(left, right) => {
                Value::Boolean(self.is_true(left, context) || self.is_true(right, context))
            }
        }
    }

    fn is_true(&self, expression: &Expression, context: Context) -> bool {
        match self.value(expression, context) {
            Value::Nodes(nodes) => !nodes.is_empty(),
            Value::Text(text) => !text.is_empty(),
            Value::Number(number) => number != 0.0,
            Value::Boolean(boolean) => boolean,
        }
    }

    fn walk(&self, mut nodes: Vec<Node>, steps: &[Step]) -> Vec<Node> {
        for step in steps {
            let mut next = Vec::new();
            for node in nodes {
                let mut found = self.axis(node, step);
                for predicate in &step.predicates {
                    found = self.filter(found, predicate);
                }
                next.extend(found);
                if !self.visit(1) {
                    break;
                }
            }
            nodes = in_order(next);
        }
        nodes
    }

    /// The nodes on an axis that pass the test, those nearest to the node first.
    fn axis(&self, node: Node, step: &Step) -> Vec<Node> {
        let (tree, place) = (self.tree, node.place);
        if node.attribute.is_some() {
            let is_up = matches!(step.axis, Axis::Parent);
            return if is_up { vec![Node::of(place)] } else { Vec::new() };
        }
        let fits = |place: &usize| self.fits(*place, &step.test);
        let places: Vec<usize> = match step.axis {
            Axis::Attribute => return self.attributes(node, &step.test),
            Axis::Itself => vec![place],
            Axis::Parent if place > 0 => vec![tree.parent(place)],
            Axis::Child => tree.children(place).collect(),
            Axis::Descendant => tree.below(place).collect(),
            Axis::DescendantOrSelf => (place..tree.end(place)).collect(),
            Axis::Ancestor => tree.ancestors(place).collect(),
            Axis::FollowingSibling => {
                std::iter::successors(tree.next_sibling(place), |at| tree.next_sibling(*at))
                    .collect()
            }
            Axis::PrecedingSibling if place > 0 => {
                let before = tree.children(tree.parent(place)).take_while(|at| *at < place);
                let mut before: Vec<usize> = before.collect();
                before.reverse();
                before
            }
            Axis::Parent | Axis::PrecedingSibling => Vec::new(),
        };
        if !self.visit(places.len()) {
            return Vec::new();
        }
        places.into_iter().filter(fits).map(Node::of).collect()
    }

    fn attributes(&self, node: Node, test: &Test) -> Vec<Node> {
        let fits = |name: &str| match test {
            Test::Name(wanted) => name.eq_ignore_ascii_case(wanted),
            Test::Any | Test::Node => true,
            Test::Text => false,
        };
        let attributes = self.tree.attributes(node.place).iter().enumerate();
        let fitting = attributes.filter(|(_, (name, _))| fits(name));
        fitting.map(|(number, _)| Node { place: node.place, attribute: Some(number) }).collect()
    }

    fn fits(&self, place: usize, test: &Test) -> bool {
        let is_text = self.tree.is_text(place);
        match test {
            Test::Node => true,
            Test::Text => is_text && !self.tree.raw_text(place).trim().is_empty(),
            Test::Any => !is_text && place > 0,
            Test::Name(name) => {
                !is_text && place > 0 && self.tree.name(place).eq_ignore_ascii_case(name)
            }
        }
    }

    fn filter(&self, nodes: Vec<Node>, predicate: &Expression) -> Vec<Node> {
        let size = nodes.len();
        let passes = |(number, node): &(usize, Node)| {
            let context = Context { node: *node, position: number + 1, size };
            if !self.visit(1) {
                return false;
            }
            match self.value(predicate, context) {
                Value::Number(number) => (number - context.position as f64).abs() < f64::EPSILON,
                Value::Nodes(nodes) => !nodes.is_empty(),
                Value::Text(text) => !text.is_empty(),
                Value::Boolean(boolean) => boolean,
            }
        };
        nodes.into_iter().enumerate().filter(passes).map(|(_, node)| node).collect()
    }

    fn call(&self, function: Function, arguments: &[Expression], context: Context) -> Value {
        let argument = |number: usize| match arguments.get(number) {
            Some(expression) => self.value(expression, context),
            None => Value::Nodes(vec![context.node]),
        };
        let text = |number: usize| self.text(&argument(number));
        match function {
            Function::Position => Value::Number(context.position as f64),
            Function::Last => Value::Number(context.size as f64),
            Function::Contains => Value::Boolean(text(0).contains(&text(1))),
            Function::StartsWith => Value::Boolean(text(0).starts_with(&text(1))),
            Function::NormalizeSpace => Value::Text(crate::text::collapse(&text(0))),
            Function::Not => Value::Boolean(!self.is_true(&arguments[0], context)),
            Function::Count => match argument(0) {
                Value::Nodes(nodes) => Value::Number(nodes.len() as f64),
                _ => Value::Number(1.0),
            },
            Function::String => Value::Text(text(0)),
            Function::StringLength => Value::Number(text(0).chars().count() as f64),
            Function::Name => Value::Text(self.tree.name(context.node.place).to_ascii_lowercase()),
        }
    }

    fn text(&self, value: &Value) -> String {
        match value {
            Value::Nodes(nodes) => {
                nodes.first().map(|node| self.node_text(*node)).unwrap_or_default()
            }
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Boolean(boolean) => boolean.to_string(),
        }
    }

    /// Reading a text is a visit of all that is below.
    fn node_text(&self, node: Node) -> String {
        let size = self.tree.end(node.place) - node.place;
        if self.visit(size) { node.text(self.tree, MAX_TEXT_BYTES) } else { String::new() }
    }

    /// With several nodes, one that fits is enough.
    fn compare(&self, comparison: Comparison, left: &Value, right: &Value) -> bool {
        let texts = |value: &Value| match value {
            Value::Nodes(nodes) => {
                nodes.iter().take(MAX_COMPARED).map(|node| self.node_text(*node)).collect()
            }
            other => vec![self.text(other)],
        };
        let is_number = matches!(left, Value::Number(_)) || matches!(right, Value::Number(_));
        let right = texts(right);
        texts(left)
            .iter()
            .any(|left| right.iter().any(|right| holds(comparison, left, right, is_number)))
    }
}

fn holds(comparison: Comparison, left: &str, right: &str, is_number: bool) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or(f64::NAN);
    let (a, b) = (number(left), number(right));
    match comparison {
        Comparison::Equal if is_number => (a - b).abs() < f64::EPSILON,
        Comparison::Unequal if is_number => (a - b).abs() >= f64::EPSILON,
        Comparison::Equal => left == right,
        Comparison::Unequal => left != right,
        Comparison::Less => a < b,
        Comparison::LessOrEqual => a <= b,
        Comparison::Greater => a > b,
        Comparison::GreaterOrEqual => a >= b,
    }
}

fn in_order(mut nodes: Vec<Node>) -> Vec<Node> {
    if !nodes.is_sorted() {
        nodes.sort_unstable();
    }
    nodes.dedup();
    nodes
}
