//! Curves over the cycles, one under another, as an SVG file.
//!
//! It knows nothing of what is plotted. Invariant: the same curves give the same bytes.

use std::path::Path;

use plotters::prelude::*;

use crate::shell::Outcome;

/// A curve: its name, and its points.
pub type Curve = (String, Vec<(f64, f64)>);

/// Curves that share their axes.
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// Its curves.
    pub curves: Vec<Curve>,
}

/// Pixels of the picture's width, and of each panel's height.
const SIZE: (u32, u32) = (900, 260);

/// Draws the panels that have points.
pub fn draw(path: &Path, panels: &[Panel]) -> Outcome {
    let drawn: Vec<&Panel> = panels.iter().filter(|panel| !points(panel).is_empty()).collect();
    if drawn.is_empty() {
        return Err("there is nothing to plot yet".into());
    }
    let mut text = String::new();
    picture(&mut text, &drawn).map_err(|e| format!("cannot draw {}: {e}", path.display()))?;
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// All points that are numbers.
fn points(panel: &Panel) -> Vec<(f64, f64)> {
    let all = panel.curves.iter().flat_map(|(_, points)| points.iter().copied());
    all.filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}

fn picture(text: &mut String, panels: &[&Panel]) -> Result<(), Box<dyn std::error::Error>> {
    let (width, height) = SIZE;
    {
        let size = (width, height * panels.len() as u32);
        let root = SVGBackend::with_string(text, size).into_drawing_area();
        root.fill(&WHITE).map_err(told)?;
        for (area, panel) in root.split_evenly((panels.len(), 1)).iter().zip(panels) {
            chart(area, panel)?;
        }
        root.present().map_err(told)?;
    }
    Ok(())
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    panel: &Panel,
) -> Result<(), Box<dyn std::error::Error>> {
    let all = points(panel);
    let last = all.iter().map(|(x, _)| *x).fold(1.0, f64::max);
    let least = all.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    let most = all.iter().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max);
    // A flat curve still needs a range.
    let room = ((most - least) * 0.08).max(most.abs() * 0.01).max(1e-6);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last, (least - room)..(most + room))
        .map_err(told)?;
    chart.configure_mesh().x_desc("cycle").light_line_style(WHITE).draw().map_err(told)?;
    for (index, (name, points)) in panel.curves.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let line = points.iter().copied().filter(|(_, y)| y.is_finite());
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)))
            .map_err(told)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()
        .map_err(told)?;
    Ok(())
}

/// Errors of the drawing crate borrow from the picture; their text does not.
fn told(error: impl std::fmt::Display) -> Box<dyn std::error::Error> {
    error.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_drawn_with_their_names_and_the_same_way_twice() {
        let dir = tempfile::tempdir().unwrap();
        let panel = |curves| Panel { title: "What was taught", curves };
        let curve = ("facts".to_string(), vec![(0.0, 0.1), (5.0, f64::NAN), (10.0, 0.9)]);
        let path = dir.path().join("a.svg");
        draw(&path, &[panel(vec![curve]), panel(Vec::new())]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("What was taught") && text.contains("facts"), "{text}");
        assert!(text.contains("<polyline") && text.contains("height=\"260\""));
        let curve = ("facts".to_string(), vec![(0.0, 0.1), (5.0, f64::NAN), (10.0, 0.9)]);
        let again = dir.path().join("b.svg");
        draw(&again, &[panel(vec![curve])]).unwrap();
        assert_eq!(std::fs::read_to_string(&again).unwrap(), text);
        assert!(draw(&path, &[panel(Vec::new())]).unwrap_err().contains("nothing to plot"));
    }
}
