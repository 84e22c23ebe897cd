//! The sources, each with its production code apart from its unit tests.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A source file.
pub(crate) struct Source {
    /// From the repository's root.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text without what is compiled for unit tests only.
    pub(crate) production: String,
    /// The functions of production code.
    pub(crate) functions: Vec<Function>,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// From its signature to its last brace.
    pub(crate) lines: usize,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            collect(&path, extensions, found);
        } else if extension.is_some_and(|extension| extensions.contains(&extension)) {
            found.push(path);
        }
    }
}

/// Every source of the repository. Files that are modules of unit tests have no production code.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read);
    &SOURCES
}

fn read() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "crates", "tests", "benches"] {
        collect(&root().join(folder), &["rs"], &mut paths);
    }
    assert!(paths.len() > 50, "the sources were not found");
    paths.sort();
    let (mut sources, mut tests) = (Vec::new(), BTreeSet::new());
    for path in paths {
        let text = fs::read_to_string(&path).expect("a source can be read");
        let path = path.strip_prefix(root()).expect("the path was found under the root");
        let part = Production::of(&text);
        tests.extend(part.test_modules.iter().map(|module| module.place(path)));
        let (production, functions) = (part.text, part.functions);
        sources.push(Source { path: path.display().to_string(), text, production, functions });
    }
    let is_test = |path: &str| {
        let module = Path::new(path).with_extension("");
        module.ancestors().any(|module| tests.contains(module))
    };
    for source in sources.iter_mut().filter(|source| is_test(&source.path)) {
        source.production.clear();
        source.functions.clear();
    }
    sources
}

/// The folder in which a file's modules are.
fn home(path: &Path) -> PathBuf {
    let is_root =
        path.file_stem().is_some_and(|stem| ["lib", "main", "mod"].iter().any(|name| stem == *name));
    if is_root { path.parent().unwrap_or(path).to_owned() } else { path.with_extension("") }
}

/// What a file compiles to outside of unit tests.
struct Production {
    text: String,
    functions: Vec<Function>,
    /// Unit tests in files of their own.
    test_modules: Vec<TestModule>,
}

/// A module of unit tests in a file of its own.
#[derive(Debug, PartialEq)]
enum TestModule {
    Named(String),
    /// From the folder of the file that names it.
    At(String),
}

impl TestModule {
    /// Where it is, without the ending.
    fn place(&self, named_in: &Path) -> PathBuf {
        match self {
            Self::Named(name) => home(named_in).join(name),
            Self::At(path) => named_in.with_file_name(path).with_extension(""),
        }
    }
}

impl Production {
    fn of(text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        let mut parts = Parts::default();
        parts.visit_file(&file);
        let mut kept = String::with_capacity(text.len());
        let mut from = 0;
        for tests in parts.tests {
            kept.push_str(&text[from..tests.start]);
            from = tests.end;
        }
        kept.push_str(&text[from..]);
        Self { text: kept, functions: parts.functions, test_modules: parts.test_modules }
    }
}

/// Goes through a file and stops at whatever is for unit tests.
#[derive(Default)]
struct Parts {
    /// In octets, in the order of the file.
    tests: Vec<Range<usize>>,
    functions: Vec<Function>,
    test_modules: Vec<TestModule>,
}

impl Parts {
    /// Whether a node is for unit tests; notes where it is.
    fn skips(&mut self, attributes: &[syn::Attribute], node: &impl Spanned) -> bool {
        let is_test = attributes.iter().any(is_for_tests);
        if is_test {
            self.tests.push(node.span().byte_range());
        }
        is_test
    }

    fn note(&mut self, signature: &syn::Signature, body: &syn::Block) {
        if is_table(body) {
            return;
        }
        let lines = body.span().end().line - signature.span().start().line + 1;
        self.functions.push(Function { name: signature.ident.to_string(), lines });
    }
}

/// Whether a function only names a literal for each of many values: such a table is as long as it has rows.
fn is_table(body: &syn::Block) -> bool {
    fn is_row(value: &syn::Expr) -> bool {
        match value {
            syn::Expr::Lit(_) => true,
            syn::Expr::Match(table) => table.arms.iter().all(|arm| is_row(&arm.body)),
            _ => false,
        }
    }
    matches!(body.stmts.as_slice(), [syn::Stmt::Expr(table @ syn::Expr::Match(_), None)] if is_row(table))
}

/// `#[cfg(test)]`, or `#[cfg(all(test, ..))]`. What `any(test, ..)` lets in is production code as well.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let mut is_for_tests = false;
    if attribute.path().is_ident("cfg") {
        let _other = attribute.parse_nested_meta(|meta| {
            is_for_tests |= meta.path.is_ident("test");
            if meta.path.is_ident("all") {
                return meta.parse_nested_meta(|meta| {
                    is_for_tests |= meta.path.is_ident("test");
                    Ok(())
                });
            }
            Ok(())
        });
    }
    is_for_tests
}

/// The path of `#[path = "..."]`.
fn path_given(attribute: &syn::Attribute) -> Option<String> {
    match &attribute.meta {
        syn::Meta::NameValue(syn::MetaNameValue {
            path,
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }),
            ..
        }) if path.is_ident("path") => Some(text.value()),
        _ => None,
    }
}

/// The visits of nodes that have attributes and nothing else to be said of.
macro_rules! visits {
    ($($visit:ident: $node:ident,)*) => {
        $(fn $visit(&mut self, node: &'ast syn::$node) {
            if !self.skips(&node.attrs, node) {
                visit::$visit(self, node);
            }
        })*
    };
}

impl<'ast> Visit<'ast> for Parts {
    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        if !self.skips(&node.attrs, node) {
            visit::visit_item_mod(self, node);
        } else if node.content.is_none() {
            let path = node.attrs.iter().find_map(path_given);
            let named = || TestModule::Named(node.ident.to_string());
            self.test_modules.push(path.map_or_else(named, TestModule::At));
        }
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        if !self.skips(&node.attrs, node) {
            self.note(&node.sig, &node.block);
            visit::visit_item_fn(self, node);
        }
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        if !self.skips(&node.attrs, node) {
            self.note(&node.sig, &node.block);
            visit::visit_impl_item_fn(self, node);
        }
    }

    visits! {
        visit_arm: Arm,
        visit_expr_block: ExprBlock,
        visit_expr_call: ExprCall,
        visit_expr_method_call: ExprMethodCall,
        visit_field: Field,
        visit_field_value: FieldValue,
        visit_impl_item_const: ImplItemConst,
        visit_impl_item_type: ImplItemType,
        visit_item_const: ItemConst,
        visit_item_enum: ItemEnum,
        visit_item_extern_crate: ItemExternCrate,
        visit_item_impl: ItemImpl,
        visit_item_macro: ItemMacro,
        visit_item_static: ItemStatic,
        visit_item_struct: ItemStruct,
        visit_item_trait: ItemTrait,
        visit_item_type: ItemType,
        visit_item_use: ItemUse,
        visit_local: Local,
        visit_stmt_macro: StmtMacro,
        visit_trait_item_fn: TraitItemFn,
        visit_variant: Variant,
    }
}

#[test]
fn only_what_is_for_unit_tests_is_left_out() {
    let text = r##"
use std::mem;
#[cfg(test)]
use std::thread;
fn first() {
    #[cfg(test)]
    tests::COUNT.set(1);
    let brace = "} #[cfg(test)] {";
    call(brace);
}
#[cfg(test)]
mod elsewhere;
#[cfg(test)]
#[path = "there.rs"]
mod there;
struct Pair {
    left: u8,
    #[cfg(all(test, unix))]
    seen: u8,
}
#[cfg(test)]
mod tests {
    fn asserted() {}
}
#[cfg(not(test))]
fn second() {}
impl Pair {
    #[cfg(test)]
    fn probed(&self) {}
    #[cfg(any(test, feature = "x"))]
    fn third(&self) {}
}
"##;
    let production = Production::of(text);
    for left_out in ["thread", "COUNT", "elsewhere;", "seen", "asserted", "probed"] {
        assert!(!production.text.contains(left_out), "{left_out} in {}", production.text);
    }
    for kept in ["std::mem", "call(brace)", "left", "second", "third"] {
        assert!(production.text.contains(kept), "{kept} not in {}", production.text);
    }
    let functions: Vec<_> = production.functions.iter().map(|it| (it.name.as_str(), it.lines)).collect();
    assert_eq!(functions, [("first", 6), ("second", 1), ("third", 1)]);
    let modules = [TestModule::Named("elsewhere".to_owned()), TestModule::At("there.rs".to_owned())];
    assert_eq!(production.test_modules, modules);
    let places = modules.map(|module| module.place(Path::new("src/media.rs")).display().to_string());
    assert_eq!(places, ["src/media/elsewhere", "src/there"]);
}

#[test]
fn production_code_behind_a_unit_test_is_seen() {
    let source =
        sources().iter().find(|source| source.path.ends_with("auth/digest.rs")).expect("it is there");
    let last = source.functions.last().expect("it has functions");
    assert!(source.production.contains(&format!("fn {}(", last.name)), "{}", last.name);
    assert!(source.production.lines().count() > 300 && !source.production.contains("mod tests"));
}

#[test]
fn files_of_unit_tests_are_no_production_code() {
    let is_empty = |path: &str| {
        let source = sources().iter().find(|source| source.path == path);
        source.unwrap_or_else(|| panic!("{path} is not there")).production.is_empty()
    };
    assert!(is_empty("src/daemon/tests.rs") && is_empty("src/daemon/tests/reloading.rs"));
    assert!(!is_empty("src/daemon.rs") && !is_empty("src/daemon/reload.rs"));
}
