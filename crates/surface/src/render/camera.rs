//! Small vectors and the camera.

pub(super) type V3 = [f32; 3];

pub(super) fn add(a: V3, b: V3) -> V3 {
    std::array::from_fn(|k| a[k] + b[k])
}

pub(super) fn sub(a: V3, b: V3) -> V3 {
    std::array::from_fn(|k| a[k] - b[k])
}

pub(super) fn scale(a: V3, by: f32) -> V3 {
    a.map(|v| v * by)
}

pub(super) fn dot(a: V3, b: V3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: V3, b: V3) -> V3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Unit length; zero stays zero.
pub(super) fn unit(a: V3) -> V3 {
    let length = dot(a, a).sqrt();
    if length > 0.0 { scale(a, 1.0 / length) } else { [0.0; 3] }
}

/// Where the camera stands; the front of the mesh looks towards -y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// From the front, right and above.
    ThreeQuarter,
    /// From the front, a little above.
    Front,
    /// From the right, a little above.
    Side,
    /// From behind, left and above.
    Back,
}

impl View {
    /// From the mesh to the camera.
    fn direction(self) -> V3 {
        unit(match self {
            Self::ThreeQuarter => [0.62, -0.95, 0.48],
            Self::Front => [0.0, -1.0, 0.14],
            Self::Side => [1.0, 0.0, 0.14],
            Self::Back => [-0.62, 0.95, 0.48],
        })
    }
}

/// From the camera to the middle of the mesh, in radii of the mesh: a long lens, which distorts little.
const DISTANCE: f32 = 5.0;
/// How much of the picture the mesh fills.
const FILL: f32 = 0.76;

/// A perspective camera that frames a mesh of radius one around the origin.
pub(super) struct Camera {
    pub eye: V3,
    right: V3,
    up: V3,
    ahead: V3,
    /// Samples per unit of tangent, and where the middle of the mesh lies.
    pub zoom: f32,
    shift: [f32; 2],
    middle: [f32; 2],
}

impl Camera {
    pub fn new(view: View, points: &[V3], width: usize, height: usize) -> Self {
        let direction = view.direction();
        let (eye, ahead) = (scale(direction, DISTANCE), scale(direction, -1.0));
        let right = unit(cross(ahead, [0.0, 0.0, 1.0]));
        let up = cross(right, ahead);
        let middle = [width as f32 / 2.0, height as f32 / 2.0];
        let mut camera = Self { eye, right, up, ahead, zoom: 1.0, shift: [0.0; 2], middle: [0.0; 2] };
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for point in points {
            let [x, y, _] = camera.project(*point);
            for (k, value) in [x, y].into_iter().enumerate() {
                (low[k], high[k]) = (low[k].min(value), high[k].max(value));
            }
        }
        let size = [0, 1].map(|k| (high[k] - low[k]).max(1e-6));
        camera.zoom = FILL * (width as f32 / size[0]).min(height as f32 / size[1]);
        camera.shift = [0, 1].map(|k| (low[k] + high[k]) / 2.0);
        camera.middle = middle;
        camera
    }

    /// Place in the picture (samples right and down), and one over the depth.
    pub fn project(&self, point: V3) -> V3 {
        let from = sub(point, self.eye);
        let nearness = 1.0 / dot(from, self.ahead).max(0.1);
        let x = dot(from, self.right) * nearness - self.shift[0];
        let y = -dot(from, self.up) * nearness - self.shift[1];
        [x * self.zoom + self.middle[0], y * self.zoom + self.middle[1], nearness]
    }

    /// The way through a place in the picture, of length one along the camera's axis.
    pub fn ray(&self, x: f32, y: f32) -> V3 {
        let right = (x - self.middle[0]) / self.zoom + self.shift[0];
        let down = (y - self.middle[1]) / self.zoom + self.shift[1];
        add(self.ahead, sub(scale(self.right, right), scale(self.up, down)))
    }

    /// How far across and down the picture, 0 to 1.
    pub fn part(&self, place: [f32; 2]) -> [f32; 2] {
        [0, 1].map(|k| (place[k] / (2.0 * self.middle[k])).clamp(0.0, 1.0))
    }
}
