//! README.md and the book in docs/: links lead somewhere, each page is in the book, and what is
//! shown is what camfw prints.
//!
//! In a ```console block a line with `$ ` is a command, run here in a folder with examples/,
//! examples/auditing/ and tests/docs/; the lines after it are all that it prints, `…` being
//! anything. One with `# ` needs root and a network: `tests/netns/test_docs.py` runs those. A
//! ```sh block is for the reader's own box, and not run. The recipes' ```toml blocks are drop-ins of `six-cameras.toml`: `check` takes each.

mod support;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use support::Scratch;

type Checked = Result<(), Box<dyn Error>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of docs/, and those at the root.
fn pages() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for folder in [root().to_path_buf(), root().join("docs")] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The page's lines outside of code, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut code = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            code = !code;
        } else if !code && !line.starts_with("    ") {
            lines.push((number + 1, line));
        }
    }
    lines
}

/// Where the links of a line lead.
fn links(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .collect()
}

/// What a heading is called in a link: small letters, digits, - and _, with - for a space.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .into_iter()
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'))
                .map(|it| if it == ' ' { '-' } else { it })
                .collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() -> Checked {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        let folder = page.parent().ok_or("no folder")?;
        for (number, line) in prose(&text) {
            for link in links(line) {
                if link.contains("://") {
                    continue;
                }
                tried += 1;
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() {
                    page.clone()
                } else {
                    folder.join(file)
                };
                // The book holds nothing but docs/.
                let leaves = folder.ends_with("docs") && file.contains('/');
                let there = target.exists()
                    && (anchor.is_empty()
                        || anchors(&fs::read_to_string(&target)?).contains(anchor));
                if leaves || !there {
                    wrong.push(format!("{}:{number}: {link}", page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 50, "{tried} links");
    Ok(())
}

#[test]
fn each_page_is_in_the_book_once() -> Checked {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md"))?;
    let listed: Vec<&str> = summary.lines().flat_map(links).collect();
    let mut there = Vec::new();
    for page in pages()? {
        let name = page.file_name().ok_or("no name")?.to_string_lossy();
        if page.parent().is_some_and(|folder| folder.ends_with("docs")) && name != "SUMMARY.md" {
            there.push(name.into_owned());
        }
    }
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, there);
    Ok(())
}

/// The blocks of a page that open with these words, each with the number of its first line.
fn blocks(text: &str, opening: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    let mut wanted = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside;
            wanted = inside && line == opening;
            if wanted {
                found.push((number + 2, String::new()));
            }
        } else if let (true, Some((_, block))) = (wanted, found.last_mut()) {
            block.push_str(line);
            block.push('\n');
        }
    }
    found
}

/// Whether `printed` is `told`, in which `…` is anything.
fn matches(told: &str, printed: &str) -> bool {
    let Some((first, others)) = told.split_once('…') else {
        return told == printed;
    };
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let (between, last) = others.rsplit_once('…').unwrap_or(("", others));
    for part in between.split('…') {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A folder with all that the pages' commands name.
fn folder(name: &str) -> Result<Scratch, Box<dyn Error>> {
    let scratch = Scratch::new(name)?;
    for from in ["examples", "examples/auditing", "tests/docs"] {
        for entry in fs::read_dir(root().join(from))? {
            let file = entry?;
            if file.file_type()?.is_dir() {
                continue;
            }
            let name = file.file_name().to_string_lossy().into_owned();
            scratch.write(&name, &fs::read_to_string(file.path())?)?;
        }
    }
    Ok(scratch)
}

#[test]
fn commands_print_what_is_shown() -> Checked {
    let folder = folder("docs-commands")?;
    let mut tried = 0;
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        for (number, block) in blocks(&text, "```console") {
            // Each command with what it prints; the first piece is what stands before any.
            let marked = format!("\n{block}").replace("\n# ", "\n\u{1}# ");
            let marked = marked.replace("\n$ ", "\n\u{1}$ ");
            for piece in marked.split('\u{1}').filter(|it| it.starts_with("$ ")) {
                let (command, told) = piece[2..].split_once('\n').ok_or("no line")?;
                let place = format!("{}:{number}: {command}", page.display());
                assert!(command.starts_with("camfw "), "{place}: not camfw");
                // As in a terminal, where both outputs come in their order.
                let (_, printed) = folder.shell(&format!("{command} 2>&1"))?;
                assert!(
                    matches(told.trim(), printed.trim()),
                    "{place} prints\n{printed}\nand not\n{told}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried >= 6, "{tried} commands");
    Ok(())
}

#[test]
fn what_is_shown_of_an_example_is_in_it() -> Checked {
    let example = fs::read_to_string(root().join("examples/six-cameras.toml"))?;
    let readme = fs::read_to_string(root().join("README.md"))?;
    let shown = blocks(&readme, "```toml");
    assert_eq!(shown.len(), 1);
    for table in shown[0].1.split("\n\n") {
        assert!(
            example.contains(table.trim()),
            "not in the example:\n{table}"
        );
    }
    Ok(())
}

/// Each key of the JSON that programs read is explained, also the inner ones.
#[test]
fn each_key_of_a_schema_is_described() -> Checked {
    fn walk(value: &serde_json::Value, at: &str, found: &mut Vec<String>) {
        let properties = value.get("properties").and_then(|it| it.as_object());
        for (key, of) in properties.into_iter().flatten() {
            if of.get("description").is_none() && of.get("$ref").is_none() {
                found.push(format!("{at}/{key}"));
            }
        }
        let children = value.as_object().into_iter().flatten();
        for (key, of) in children {
            walk(of, &format!("{at}/{key}"), found);
        }
        for of in value.as_array().into_iter().flatten() {
            walk(of, at, found);
        }
    }
    let mut found = Vec::new();
    let status = fs::read_to_string(root().join("docs/status.schema.json"))?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    walk(&status, "status.schema.json", &mut found);
    assert!(found.is_empty(), "no description:\n{}", found.join("\n"));
    let page = fs::read_to_string(root().join("docs/monitoring.md"))?;
    for key in status["properties"].as_object().ok_or("no keys")?.keys() {
        assert!(
            page.contains(&format!("`{key}`")),
            "monitoring.md has no {key}"
        );
    }
    Ok(())
}

/// What a reader is to type stands in a block: ```console is run by a test, ```sh is not.
/// The reference is a manual page too, and has its examples indented.
#[test]
fn commands_stand_in_a_block_that_says_whether_it_is_run() -> Checked {
    let typed = [
        "camfw ",
        "camfw-import ",
        "iptables-save ",
        "journalctl ",
        "systemctl ",
    ];
    let mut found = Vec::new();
    for page in pages()? {
        if [
            "docs/configuration.md",
            "docs/measurements.md",
            "CONTRIBUTING.md",
        ]
        .iter()
        .any(|it| page.ends_with(it))
        {
            continue;
        }
        let text = fs::read_to_string(&page)?;
        let mut inside = false;
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("```") {
                inside = !inside;
            }
            let command = line.strip_prefix("    ").filter(|_| !inside);
            // Not what is left open, and not a table of what commands look like.
            let is_whole = !line.contains(['…', '[']);
            if command.is_some_and(|it| is_whole && typed.iter().any(|word| it.starts_with(word))) {
                found.push(format!("{}:{}: {line}", page.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "indented:\n{}", found.join("\n"));
    Ok(())
}

/// Without these a Debian box has no rules after its next boot.
#[test]
fn getting_started_enables_what_the_package_does_not() -> Checked {
    let said = fs::read_to_string(root().join("packaging/debian/camfw/postinst"))?;
    let page = fs::read_to_string(root().join("docs/getting-started.md"))?;
    for (before, until) in [("systemctl enable ", ".timer"), ("update-rc.d camfw ", ")")] {
        let (_, names) = said.rsplit_once(before).ok_or(before)?;
        let (names, end) = names.split_once(until).ok_or(before)?;
        assert!(!end.is_empty());
        let command = format!("{before}{names}");
        assert!(page.contains(&command), "the page does not say: {command}");
    }
    Ok(())
}

/// A reader runs the page's commands beside the installed files.
#[test]
fn the_auditing_page_has_its_files_as_they_are() -> Checked {
    let page = fs::read_to_string(root().join("docs/auditing.md"))?;
    let mut shown = 0;
    for entry in fs::read_dir(root().join("examples/auditing"))? {
        let file = entry?;
        let name = file.file_name().to_string_lossy().into_owned();
        assert!(page.contains(&name), "the page does not name {name}");
        // What it shows whole stands after its name, indented.
        let Some((_, after)) = page.split_once(&format!("`{name}`:\n\n")) else {
            continue;
        };
        let mut block = String::new();
        for line in after
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with("    "))
        {
            block += line.strip_prefix("    ").unwrap_or(line);
            block.push('\n');
        }
        assert_eq!(
            block.trim_end(),
            fs::read_to_string(file.path())?.trim_end(),
            "{name}"
        );
        shown += 1;
    }
    assert_eq!(shown, 2);
    Ok(())
}

/// The file that recipes are put beside, without the zones that one of them has itself.
fn base(recipe: &str) -> Result<String, Box<dyn Error>> {
    let example = fs::read_to_string(root().join("examples/six-cameras.toml"))?;
    let own = recipe.lines().filter(|line| line.starts_with("[zones."));
    let own: Vec<&str> = own.collect();
    Ok(example
        .split("\n\n")
        .filter(|table| !own.iter().any(|zone| table.starts_with(zone)))
        .map(|table| format!("{table}\n\n"))
        .collect())
}

#[test]
fn recipes_are_good() -> Checked {
    let folder = folder("docs-recipes")?;
    folder.shell("mkdir -p recipe.d root/etc/camfw")?;
    // Of the list that a recipe names, another test reads what the page has.
    folder.write("root/etc/camfw/blocklist.txt", "203.0.113.0/24\n")?;
    let mut recipes = Vec::new();
    for page in ["docs/recipes.md", "docs/mail.md"] {
        let text = fs::read_to_string(root().join(page))?;
        let blocks = blocks(&text, "```toml").into_iter();
        recipes.extend(blocks.map(|(number, recipe)| (format!("{page}:{number}"), recipe)));
    }
    assert!(recipes.len() >= 11, "{} recipes", recipes.len());
    for (place, recipe) in recipes {
        folder.write("recipe.toml", &base(&recipe)?)?;
        folder.write("recipe.d/recipe.toml", &recipe)?;
        let (code, said) = folder.shell("CAMFW_ROOT=$PWD/root camfw --config recipe.toml check")?;
        assert_eq!(code, 0, "{place}: {said}");
        assert!(said.contains("recipe.toml: good\n"), "{said}");
    }
    Ok(())
}

#[test]
fn what_is_told_and_what_is_printed() {
    assert!(matches("a…c", "abc"));
    assert!(matches("…", ""));
    assert!(matches("a…", "abc"));
    assert!(matches("…c", "abcc"));
    assert!(matches("a…b…c", "axbxbxc"));
    assert!(!matches("a", "ab"));
    assert!(!matches("…b", "abc"));
    assert!(!matches("a…d", "abc"));
}
