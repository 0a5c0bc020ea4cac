//! The matrix by names as a picture for a sheet of paper.
//!
//! Owns where everything is. Cells say the names of services as long as these fit on a sheet;
//! else a number, with a list of what each number stands for.

use std::fmt::Display;

use crate::markup::Markup;
use crate::prove::{MatrixCell, NamedMatrix, wrapped};

/// The width of A4 across, in CSS pixels.
const SHEET: usize = 1123;
const MARGIN: usize = 24;
const LINE: usize = 16;
const PAD: usize = 6;
/// Characters in a cell before its words go to another line.
const CELL: usize = 20;
/// The side of a cell that has a number.
const NUMBERED: usize = 24;
/// The height of the title.
const TITLE: usize = 44;

const FONT: &str = "ui-monospace,'DejaVu Sans Mono','Liberation Mono',Menlo,Consolas,monospace";

/// The colours differ in lightness and between blue and orange, which all kinds of colour
/// blindness leave apart; what they say is written in the cells too.
const STYLE: &str = "text{font-size:12px;fill:#14202b}.h{font-weight:700}.t{font-size:16px;font-weight:700}.s{fill:#4a5a68}rect{stroke:#9aa7b2;stroke-width:1}.n{fill:#fff}.y{fill:#cfe4f7}.r{fill:#fde0b2}.f{fill:#a9d3c5}.w{fill:#e9ecef}.b{fill:#fff;stroke:none}";

/// The class of a cell, and what it says.
pub(super) const KINDS: [(&str, &str); 5] = [
    ("y", "may open these"),
    ("r", "may, restricted: see the marks"),
    ("f", "some are sent on to another port or host"),
    ("n", "nothing"),
    ("w", "on one wire"),
];

/// The width of a text: each character of a monospaced font is 0.6 of its height wide, and
/// a little is to spare.
fn width(text: &str) -> usize {
    (text.chars().count() * 74).div_ceil(10)
}

pub(super) fn kind(cell: &MatrixCell) -> usize {
    let any = |is: fn(&crate::prove::ReachedService) -> bool| cell.services.iter().any(is);
    match () {
        () if cell.one_wire => 4,
        () if cell.services.is_empty() => 3,
        () if any(|it| it.sent_on.is_some()) => 2,
        () if any(|it| it.hours || it.limited || it.partly) => 1,
        () => 0,
    }
}

/// Where the columns are and what stands in each cell.
struct Grid {
    /// For each row, its cells, in lines.
    cells: Vec<Vec<Vec<String>>>,
    widths: Vec<usize>,
    left: usize,
    /// The height of the names above the columns.
    head: usize,
    /// What numbers stand for; empty unless cells have numbers.
    key: Vec<String>,
}

impl Grid {
    fn new(matrix: &NamedMatrix) -> Grid {
        let names = matrix.rows.iter().map(|row| width(&row.name));
        let left = names.max().unwrap_or_default() + 2 * PAD;
        let cells: Vec<Vec<Vec<String>>> = matrix
            .cells
            .iter()
            .map(|row| {
                row.iter()
                    .map(|cell| wrapped(&cell.words(), CELL))
                    .collect()
            })
            .collect();
        let mut widths: Vec<usize> = matrix.columns.iter().map(|it| width(&it.name)).collect();
        for row in &cells {
            for (cell, widest) in row.iter().zip(&mut widths) {
                let lines = cell.iter().map(|line| width(line));
                *widest = lines.max().unwrap_or_default().max(*widest);
            }
        }
        widths.iter_mut().for_each(|width| *width += 2 * PAD);
        let grid = Grid {
            cells,
            widths,
            left,
            head: LINE + PAD,
            key: Vec::new(),
        };
        match grid.left + grid.widths.iter().sum::<usize>() + 2 * MARGIN > SHEET {
            true => grid.numbered(matrix),
            false => grid,
        }
    }

    /// The same with numbers in place of names.
    fn numbered(mut self, matrix: &NamedMatrix) -> Grid {
        for (row, cells) in self.cells.iter_mut().zip(&matrix.cells) {
            for (lines, cell) in row.iter_mut().zip(cells) {
                if cell.services.is_empty() {
                    continue;
                }
                let says = cell.words().join(" ");
                let known = self.key.iter().position(|known| *known == says);
                let number = known.unwrap_or_else(|| {
                    self.key.push(says);
                    self.key.len() - 1
                });
                *lines = vec![(number + 1).to_string()];
            }
        }
        let numbered = width(&self.key.len().to_string()) + 2 * PAD;
        self.widths = vec![NUMBERED.max(numbered); matrix.columns.len()];
        let names = matrix.columns.iter().map(|it| width(&it.name));
        self.head = names.max().unwrap_or_default() + PAD;
        self
    }

    fn width(&self) -> usize {
        self.left + self.widths.iter().sum::<usize>()
    }
}

/// Matrices as an SVG image, one below the other.
pub fn matrix_svg(matrices: &[NamedMatrix]) -> String {
    let mut sheet = 640;
    let mut titles = Vec::new();
    let mut grids = Vec::new();
    for matrix in matrices {
        let title = format!("{}: what the row may open to the column", matrix.title);
        let grid = Grid::new(matrix);
        let wide = grid.width().max(width(&title) * 4 / 3);
        sheet = sheet.max(wide + 2 * MARGIN);
        titles.push(title);
        grids.push(grid);
    }
    let mut body = Markup::default();
    let mut high = 0;
    for ((matrix, grid), title) in matrices.iter().zip(&grids).zip(&titles) {
        put(&mut body, "t", MARGIN, high + MARGIN + LINE, title);
        high = one(&mut body, grid, matrix, (sheet, high + MARGIN + TITLE));
    }
    let title = titles.join("; ");
    let mut svg = Markup::default();
    svg.open(
        "svg",
        &[
            ("xmlns", &"http://www.w3.org/2000/svg"),
            ("width", &sheet),
            ("height", &high),
            ("viewBox", &format_args!("0 0 {sheet} {high}")),
            ("font-family", &FONT),
            ("role", &"img"),
        ],
    );
    svg.element("title", &[], &title);
    svg.element("style", &[], STYLE);
    rect(&mut svg, "b", (0, 0), (sheet, high));
    svg.append(body);
    svg.close("svg");
    svg.raw("\n");
    svg.finish()
}

/// One matrix from here down, and where it ends.
fn one(
    body: &mut Markup,
    grid: &Grid,
    matrix: &NamedMatrix,
    (sheet, top): (usize, usize),
) -> usize {
    let mut y = top + grid.head;
    columns(body, grid, matrix, y);
    for (row, (lines, cells)) in matrix.rows.iter().zip(grid.cells.iter().zip(&matrix.cells)) {
        let most = lines.iter().map(Vec::len).max().unwrap_or_default().max(1);
        let high = most * LINE + PAD;
        put(body, "h", MARGIN, y + LINE, &row.name);
        let mut x = MARGIN + grid.left;
        for ((lines, cell), wide) in lines.iter().zip(cells).zip(&grid.widths) {
            rect(body, KINDS[kind(cell)].0, (x, y), (*wide, high));
            for (at, line) in lines.iter().enumerate() {
                let line = if line == "." { "\u{b7}" } else { line };
                put(body, "", x + PAD, y + LINE * (at + 1), line);
            }
            x += wide;
        }
        y += high;
    }
    legend(body, grid, matrix, (sheet, y + LINE)) + MARGIN
}

/// The names above the columns, upright where there is room and turned where there is none.
fn columns(body: &mut Markup, grid: &Grid, matrix: &NamedMatrix, y: usize) {
    let mut x = MARGIN + grid.left;
    for (column, wide) in matrix.columns.iter().zip(&grid.widths) {
        if grid.key.is_empty() {
            put(body, "h", x + PAD, y - PAD, &column.name);
        } else {
            let (x, y) = (x + wide / 2 + 4, y - PAD);
            let turned = format!("rotate(-90 {x} {y})");
            let attributes: [(&str, &dyn Display); 4] = [
                ("class", &"h"),
                ("x", &x),
                ("y", &y),
                ("transform", &turned),
            ];
            body.element("text", &attributes, &column.name);
        }
        x += wide;
    }
}

/// What colours, marks, numbers and the names of groups stand for, each in lines of its own.
fn legend(
    body: &mut Markup,
    grid: &Grid,
    matrix: &NamedMatrix,
    (sheet, mut y): (usize, usize),
) -> usize {
    let room = (sheet - 2 * MARGIN) * 10 / 74;
    let cells = || matrix.cells.iter().flatten();
    for (number, (class, says)) in KINDS.into_iter().enumerate() {
        if cells().any(|cell| kind(cell) == number) {
            rect(body, class, (MARGIN, y), (NUMBERED, LINE - 2));
            put(body, "s", MARGIN + NUMBERED + PAD, y + LINE - 4, says);
            y += LINE + 2;
        }
    }
    let marks = matrix.legend().into_iter();
    let marks = marks.filter(|(mark, _)| *mark != "=");
    let marks = marks.map(|(mark, says)| (mark.to_owned(), says.to_owned()));
    let groups = matrix.groups().into_iter();
    let groups = groups.map(|group| (group.name.clone(), group.cameras.join(", ")));
    y += LINE;
    for (name, says) in marks.chain(groups) {
        let column = name.chars().count().max(6) + 2;
        put(body, "h", MARGIN, y, &name);
        let words: Vec<String> = says.split(' ').map(str::to_owned).collect();
        for line in wrapped(&words, room.saturating_sub(column)) {
            put(body, "s", MARGIN + column * 74 / 10, y, &line);
            y += LINE;
        }
    }
    key(body, &grid.key, (sheet, y))
}

/// What numbers stand for, in as many columns as there is room for.
fn key(body: &mut Markup, key: &[String], (sheet, y): (usize, usize)) -> usize {
    let room = sheet - 2 * MARGIN;
    let number = width(&key.len().to_string()) + PAD;
    let widest = key.iter().map(|says| width(says)).max().unwrap_or_default();
    let wide = (number + widest + 2 * PAD).min(room);
    let most = (wide - number) * 10 / 74;
    let rows = key.len().div_ceil((room / wide).max(1)).max(1);
    let mut bottom = y;
    let (mut x, mut at) = (MARGIN, y);
    for (index, says) in key.iter().enumerate() {
        if index > 0 && index % rows == 0 {
            (x, at) = (x + wide, y);
        }
        put(body, "h", x, at, &(index + 1).to_string());
        let words: Vec<String> = says.split(' ').map(str::to_owned).collect();
        for line in wrapped(&words, most) {
            put(body, "s", x + number, at, &line);
            at += LINE;
        }
        bottom = bottom.max(at);
    }
    bottom
}

fn put(body: &mut Markup, class: &'static str, x: usize, y: usize, text: &str) {
    body.element("text", &[("class", &class), ("x", &x), ("y", &y)], text);
}

fn rect(body: &mut Markup, class: &'static str, at: (usize, usize), size: (usize, usize)) {
    let ((x, y), (wide, high)) = (at, size);
    body.element(
        "rect",
        &[
            ("class", &class),
            ("x", &x),
            ("y", &y),
            ("width", &wide),
            ("height", &high),
        ],
        "",
    );
}
