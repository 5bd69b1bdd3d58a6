"""Draws one picture with OpenGL (EGL; Mesa's software driver will do): colour and exact coverage.

What is drawn is antialiased four times per pixel over a transparent clear colour, so the picture that comes back
is premultiplied by its alpha. Camera coordinates: x right, y down, z forward, metres.
"""
from __future__ import annotations

import os

os.environ.setdefault("LP_NUM_THREADS", "1")  # one software rasteriser per process

import moderngl  # noqa: E402
import numpy as np  # noqa: E402

from . import cameras  # noqa: E402
from .appearance import Appearance  # noqa: E402
from .meshes import Mesh  # noqa: E402

SAMPLES = 4

_NOISE = """
float hash(vec3 p) { return fract(sin(dot(floor(p), vec3(12.9898, 78.233, 37.719))) * 43758.5453); }
float noise(vec3 p) {
  vec3 f = fract(p); f = f * f * (3. - 2. * f); p = floor(p);
  return mix(mix(mix(hash(p), hash(p + vec3(1,0,0)), f.x), mix(hash(p + vec3(0,1,0)), hash(p + vec3(1,1,0)), f.x), f.y),
             mix(mix(hash(p + vec3(0,0,1)), hash(p + vec3(1,0,1)), f.x), mix(hash(p + vec3(0,1,1)), hash(p + vec3(1,1,1)), f.x), f.y), f.z);
}
"""
_LIGHT = """
uniform vec3 sky, ground, lamp1, lamp1_colour, lamp2, lamp2_colour;
vec3 light(vec3 normal) {
  return mix(ground, sky, normal.z * .5 + .5) + lamp1_colour * max(0., dot(normal, lamp1))
       + lamp2_colour * max(0., dot(normal, lamp2));
}
"""
_SURFACE_VERTEX = """#version 330
in vec3 position; in vec3 normal; in float bare; in vec3 bind; in vec4 paint; in vec2 seen;
uniform mat4 view; uniform vec2 focal; uniform vec2 centre;
out vec3 to_normal; out vec3 to_bind; out vec4 to_paint; out vec2 to_seen; out vec3 to_eye; out float to_bare;
void main() {
  vec4 eye = view * vec4(position, 1.);
  to_eye = eye.xyz; to_normal = normal; to_bind = bind; to_paint = paint; to_seen = seen; to_bare = bare;
  gl_Position = vec4(focal.x * eye.x + centre.x * eye.z, -(focal.y * eye.y + centre.y * eye.z), eye.z * 1.002 - .1, eye.z);
}"""
_SURFACE_FRAGMENT = """#version 330
in vec3 to_normal; in vec3 to_bind; in vec4 to_paint; in vec2 to_seen; in vec3 to_eye; in float to_bare;
out vec4 result;
uniform sampler2D picture;
uniform int source;            // 0: plain colour, 1: the preview projected, 2: any picture wrapped around, 3: textures, "seen" is where in them
uniform mat3 preview_rotation; uniform vec4 preview_lens;   // focal, centre x, centre y, distance
uniform vec4 wrap;             // scale x, scale z, offset x, offset z
uniform mat3 view_rotation;
uniform vec3 skin, skin_tint, upper_colour, lower_colour, hair_colour, pattern_colour;
uniform vec3 recolour;         // how far upper clothes, lower clothes and hair take their new colours
uniform float waist, shine, grain, cards;
uniform int pattern; uniform vec3 pattern_style;            // frequency, strength, also below the waist
""" + _NOISE + _LIGHT + """
vec3 projected(vec3 p) {
  vec3 q = preview_rotation * (p - vec3(0., 0., .9)); float z = q.z + preview_lens.w;
  return texture(picture, vec2((preview_lens.y + preview_lens.x * q.x / z) / 1280., (preview_lens.z + preview_lens.x * q.y / z) / 720.)).rgb;
}
float brightness(vec3 colour) { return dot(colour, vec3(.3, .6, .1)); }
void main() {
  vec3 b = to_bind, albedo = to_paint.rgb;
  if (source == 1) {
    float direct = smoothstep(.55, .95, to_seen.x), mirrored = smoothstep(.55, .95, to_seen.y);
    if (mirrored > 0.) albedo = mix(albedo, projected(vec3(-b.x, b.yz)), mirrored);
    if (direct > 0.) albedo = mix(albedo, projected(b), direct);
  } else if (source == 2) albedo = texture(picture, b.xz * wrap.xy + wrap.zw + b.y * .37).rgb;
  else if (source == 3) albedo = texture(picture, to_seen).rgb;
  albedo = pow(albedo, vec3(2.2));
  float kind = to_paint.a;
  vec3 skin_linear = pow(skin, vec3(2.2));
  float tone = brightness(albedo), skin_tone = brightness(skin_linear);
  float is_skin = 0.;
  if (source == 1 || source == 3) {
    vec3 unlike = albedo / (tone + .01) - skin_linear / (skin_tone + .01);
    is_skin = (1. - smoothstep(.33, .55, length(unlike))) * smoothstep(.12 * skin_tone, .35 * skin_tone, tone);
  }
  // How far this is clothes or hair; with textures "paint" tells that, and bare hands, instead of a colour.
  float cloth_share = source == 3 ? to_paint.r : float(kind < .5), hair_share = source == 3 ? to_paint.g : float(kind >= .5 && kind != 2.);
  if (source == 3) is_skin = max(is_skin, to_paint.b);
  if (cloth_share > 0.) {
    bool upper = b.z > waist;
    vec3 cloth = (upper ? upper_colour : lower_colour) * clamp(.35 + .65 * pow(tone / .2, .6), .1, 2.2);
    vec3 q = b * pattern_style.x; float mark = 0.;
    if (pattern == 1) mark = step(.5, fract(q.z));                                             // stripes
    else if (pattern == 2) mark = step(.5, fract(q.x));
    else if (pattern == 3) mark = .5 * (step(.5, fract(q.x)) + step(.5, fract(q.z)));          // checks
    else if (pattern == 4) mark = smoothstep(.45, .55, noise(q));                              // blotches
    else if (pattern == 5) mark = step(.75, noise(q * 1.7 + 7.));                              // spots
    else if (pattern == 6) mark = .6 * noise(q * 4.);
    if (upper || pattern_style.z > .5) cloth = mix(cloth, pattern_colour * clamp(.3 + tone * 3., .2, 1.5), mark * pattern_style.y);
    albedo = mix(albedo, cloth, (upper ? recolour.x : recolour.y) * (1. - is_skin) * cloth_share);
    albedo = mix(albedo, skin_linear * clamp(.75 + tone, .8, 1.15), to_bare);
    is_skin = max(is_skin, to_bare);
  }
  if (hair_share > 0.) albedo = mix(albedo, hair_colour * (.3 + 3. * tone), (1. - is_skin) * recolour.z * hair_share);
  albedo *= mix(vec3(1.), skin_tint, is_skin);
  if (grain > 0.) albedo *= 1. + grain * (noise(b * 420.) + noise(b * 137.) - 1.);
  vec3 n = normalize(to_normal); if (dot(view_rotation * n, to_eye) > 0.) n = -n;
  vec3 colour = albedo * light(n);
  vec3 half_way = normalize(view_rotation * lamp1 - normalize(to_eye));
  colour += shine * lamp1_colour * pow(max(0., dot(view_rotation * n, half_way)), 24.) * .3;
  float alpha = 1.;
  if (cards > .5) alpha = smoothstep(.12, .5, noise(vec3(b.xy * 300., b.z * 12.)) + .35 * noise(vec3(b.xy * 90., b.z * 5.)));
  result = vec4(pow(clamp(colour, 0., 1.), vec3(1. / 2.2)) * alpha, alpha);
}"""
_STRAND_VERTEX = """#version 330
in vec3 position; in vec3 tangent; in vec2 place; in vec4 paint;
uniform mat4 view; uniform vec2 focal; uniform vec2 centre; uniform float width; uniform float half_side;
out vec3 to_colour; out float to_alpha; out vec3 to_tangent;
void main() {
  vec3 eye = (view * vec4(position, 1.)).xyz, along = mat3(view) * tangent;
  vec2 slope = along.xy * eye.z - eye.xy * along.z;
  vec2 across = normalize(vec2(-slope.y, slope.x) + 1e-6);
  // A ribbon thinner than a pixel is drawn one pixel wide and as much fainter.
  float pixels = focal.x * width * mix(1., .35, place.y) / eye.z * half_side;
  float drawn = max(pixels, 1.);
  to_alpha = min(pixels / drawn * 1.4, 1.) * (1. - .5 * place.y * place.y);
  to_colour = paint.rgb; to_tangent = tangent;
  vec2 spot = vec2(focal.x * eye.x + centre.x * eye.z, focal.y * eye.y + centre.y * eye.z) + across * place.x * drawn * .5 / half_side * eye.z;
  gl_Position = vec4(spot.x, -spot.y, eye.z * 1.002 - .1, eye.z);
}"""
_STRAND_FRAGMENT = """#version 330
in vec3 to_colour; in float to_alpha; in vec3 to_tangent; out vec4 result;
""" + _LIGHT + """
void main() {
  vec3 t = normalize(to_tangent), n = normalize(lamp1 - t * dot(lamp1, t) + vec3(0., 0., .3));
  result = vec4(pow(clamp(to_colour * light(n), 0., 1.), vec3(1. / 2.2)) * to_alpha, to_alpha);
}"""


class Renderer:
    """One OpenGL context with a square canvas of ``side`` pixels."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.context = moderngl.create_context(standalone=True, backend="egl")
        self.surface = self.context.program(_SURFACE_VERTEX, _SURFACE_FRAGMENT)
        self.strand = self.context.program(_STRAND_VERTEX, _STRAND_FRAGMENT)
        size = (side, side)
        self._canvas = self.context.framebuffer(self.context.renderbuffer(size, 4, samples=SAMPLES),
                                                self.context.depth_renderbuffer(size, samples=SAMPLES))
        self._resolved = self.context.framebuffer(self.context.renderbuffer(size, 4))
        self.context.enable(moderngl.DEPTH_TEST)
        self.context.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        self._moving = self.context.buffer(reserve=60000 * 7 * 4, dynamic=True)
        self._fixed = self.context.buffer(reserve=60000 * 9 * 4, dynamic=True)
        self._indices = self.context.buffer(reserve=120000 * 3 * 4, dynamic=True)
        self._surface_array = self.context.vertex_array(
            self.surface, [(self._moving, "3f 3f 1f", "position", "normal", "bare"),
                           (self._fixed, "3f 4f 2f", "bind", "paint", "seen")], self._indices)
        self._strand_vertices = self.context.buffer(reserve=40000 * 12 * 4, dynamic=True)
        self._strand_indices = self.context.buffer(reserve=60000 * 3 * 4, dynamic=True)
        self._strand_array = self.context.vertex_array(
            self.strand, [(self._strand_vertices, "3f 3f 2f 4f", "position", "tangent", "place", "paint")],
            self._strand_indices)
        self._texture: moderngl.Texture | None = None

    def set(self, **values) -> None:
        """Sets uniforms of both programs by name; arrays are matrices, given by rows."""
        for name, value in values.items():
            for program in (self.surface, self.strand):
                if name in program:
                    if isinstance(value, np.ndarray) and value.ndim == 2:
                        program[name].write(value.T.astype("f4").tobytes())
                    else:
                        program[name].value = tuple(value) if isinstance(value, (np.ndarray, list)) else value

    def picture(self, pixels: np.ndarray, shrinks: bool = False) -> None:
        """The picture that surfaces are painted with, (H, W, 3) uint8 RGB; ``shrinks``: without glitter where it is drawn small."""
        if self._texture is not None:
            self._texture.release()
        self._texture = self.context.texture(pixels.shape[1::-1], 3, np.ascontiguousarray(pixels).tobytes(), alignment=1)
        if shrinks:
            self._texture.build_mipmaps()
            self._texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
        self._texture.use(0)

    def begin(self, view: np.ndarray, focal: float, centre: tuple[float, float]) -> None:
        """Clears the canvas. view: (4, 4) world to camera; focal, centre: in halves of the canvas's side."""
        self.set(view=view, view_rotation=view[:3, :3].copy(), focal=(focal, focal), centre=centre, half_side=self.side / 2)
        self._canvas.use()
        self._canvas.clear(0, 0, 0, 0)

    def _draw(self, positions, normals, bare, bind, paint, seen, triangles) -> None:
        self._moving.write(np.concatenate([positions, normals, bare[:, None]], 1).astype("f4").tobytes())
        self._fixed.write(np.concatenate([bind, paint, seen], 1).astype("f4").tobytes())
        self._indices.write(np.ascontiguousarray(triangles, "i4").tobytes())
        self._surface_array.render(moderngl.TRIANGLES, vertices=triangles.size)

    def person(self, mesh: Mesh, look: Appearance, positions: np.ndarray, normals: np.ndarray, bare: np.ndarray) -> None:
        """Draws a posed avatar: first what is opaque, then hair cards blended over it."""
        if look.camera is None:
            self.set(source=3)
        else:
            self.set(source=1, preview_rotation=cameras.rotation(*look.camera[:2]), preview_lens=tuple(look.camera[2:]))
        self.set(skin=look.skin, waist=look.waist, cards=0.0)
        paint = np.concatenate([look.colours if look.camera is not None else look.parts, look.kinds[:, None]], 1)
        is_card = (look.kinds[mesh.triangles] == 3).all(1)
        fields = positions, normals, bare, mesh.positions, paint, look.places
        self._draw(*fields, mesh.triangles[~is_card])
        if is_card.any():
            self.set(cards=1.0)
            self._blended(lambda: self._draw(*fields, mesh.triangles[is_card]))
            self.set(cards=0.0)

    def solid(self, vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray, bind: np.ndarray | None = None,
              textured: bool = False, colour: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> None:
        """Draws something that is not an avatar, in the upper clothes' colour and pattern or with the picture."""
        count = len(vertices)
        self.set(source=2 if textured else 0, cards=0.0)
        paint = np.tile(np.array([[*colour, 2.0 if textured else 0.0]]), (count, 1))
        self._draw(vertices, normals, np.zeros(count), vertices if bind is None else bind, paint, np.zeros((count, 2)), triangles)

    def strands(self, vertices: np.ndarray, triangles: np.ndarray, width: float) -> None:
        """Draws ribbons of hair, see ``hair.Strands.ribbons``."""
        self.set(width=width)
        if self._strand_vertices.size < vertices.nbytes:
            self._strand_vertices.orphan(vertices.nbytes)
        if self._strand_indices.size < triangles.nbytes:
            self._strand_indices.orphan(triangles.nbytes)
        self._strand_vertices.write(vertices.tobytes())
        self._strand_indices.write(np.ascontiguousarray(triangles, "i4").tobytes())
        self._blended(lambda: self._strand_array.render(moderngl.TRIANGLES, vertices=triangles.size))

    def _blended(self, draw) -> None:
        self.context.enable(moderngl.BLEND)
        self._canvas.depth_mask = False
        draw()
        self._canvas.depth_mask = True
        self.context.disable(moderngl.BLEND)

    def finish(self) -> np.ndarray:
        """The picture (side, side, 4) uint8: RGB premultiplied by alpha, alpha."""
        self.context.copy_framebuffer(self._resolved, self._canvas)
        return np.frombuffer(self._resolved.read(components=4), "u1").reshape(self.side, self.side, 4)[::-1]
