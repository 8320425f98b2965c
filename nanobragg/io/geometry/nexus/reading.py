"""Geometry in NXmx files: chains of transformations followed to the laboratory (NeXus NXmx), in the frame of NeXus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.geometry.axes import FROM_NEXUS, Array, rotation, unit
from nanobragg.io.geometry.headers.flat import flat
from nanobragg.io.geometry.nexus.places import Places
from nanobragg.io.geometry.record import Geometry, Panel, Path, forwards, mounted, panel_of, reciprocal
from nanobragg.io.images.hdf5 import open_hdf5, text_of
from nanobragg.io.units import ANGSTROMS, DEGREES, MILLIMETRES, SECONDS

_MAX_CHAIN = 100
_PER_SECOND = ("Hz", "hz", "1/s", "s^-1", "s-1")
_NO_SENSOR_MM = 1e-6
"""A sensor that is thinner is none: some writers, these among them, must write a thickness above 0."""
_TINY_DEG = 1e-9


def read_nxmx(path: Path, image: int | None = None) -> Geometry:
    """Geometry of an NXmx file, or of the master file of an Eiger, which has no modules.

    Raises
    ------
    FileFormatError
        When something is missing, has the wrong unit, or refers to what is not there; the message names the place.
    """
    with open_hdf5(path) as file:
        reader = _Nexus(path, file)
        try:
            return reader.geometry(image)
        except FileFormatError:
            raise
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            OSError,
            RuntimeError,
            OverflowError,
        ) as error:
            raise FileFormatError(path, f"{reader.where}: cannot be read: {error}; is it NXmx?") from None


class _Nexus(Places):
    """An open NXmx file."""

    def geometry(self, image: int | None) -> Geometry:
        entry = self.one(self.file, "NXentry")
        instrument = self.one(entry, "NXinstrument")
        beam, detector = self.one(instrument, "NXbeam"), self.detector(instrument)
        index = 0 if image is None else image - 1
        shape = self.data_shape(entry, detector)
        n = 1 if shape is None else shape[0]
        if not 0 <= index < n:
            raise self.fail(f"image={image}: it holds images 1 to {n}", f"{entry.name}/data")
        wavelength = self.wavelength(beam, index, n)
        if not self.of_class(detector, "NXdetector_module") and "detector_distance" in detector:
            return self.eiger(entry, detector, wavelength, index, n)
        panels = tuple(self.panels(detector, index, shape))
        axis, kahn = self.polarization(beam)
        vectors, group = (self.item(f"/entry/nanobragg/{name}") for name in ("real_space_vectors", "space_group_hall"))
        return Geometry(
            panels=panels, wavelength=wavelength, beam=np.array([0.0, 0.0, 1.0]), polarization_axis=axis,
            kahn_factor=kahn, **self.scan(entry, index), n_images=n, exposure_s=self.exposure(detector),
            space_group=None if group is None else text_of(group[()]),
            a_star=None if vectors is None else reciprocal(self.vectors(vectors, index)), flux=self.flux(beam, index),
        ).turned(FROM_NEXUS)  # fmt: skip

    def detector(self, instrument: Any) -> Any:
        """The detector; of several the first one that has modules, which is told."""
        first, *others = self.of_class(instrument, "NXdetector") or [""]
        if not others:
            return self.one(instrument, "NXdetector")
        modular = [name for name in (first, *others) if self.of_class(self.need(name), "NXdetector_module")]
        if len(modular) > 1:
            self.warn(f"{len(modular)} detectors are there; {modular[0]} is read, not {', '.join(modular[1:])}")
        return self.need((modular or [first])[0])

    def wavelength(self, beam: Any, index: int, n: int) -> float:
        place = f"{beam.name}/incident_wavelength"
        values = self.value(place, ANGSTROMS).reshape(-1)
        weights = self.item(f"{place}_weights")
        if weights is not None and values.size > 1:
            weight = np.asarray(weights[()], dtype=np.float64).reshape(-1)
            if weight.size != values.size or not weight.sum() > 0:
                raise self.fail(f"holds {weight.size} weights of {values.size} wavelengths", f"{place}_weights")
            self.warn(f"{place} is a spectrum of {values.size} wavelengths; its mean is taken")
            return float(values @ weight / weight.sum())
        if values.size > 1 and np.ptp(values) > 1e-6 * abs(values[0]):
            if values.size != n:
                raise self.fail(f"holds {values.size} different wavelengths; only one for each image is read", place)
            return float(values[index])
        return float(values[0])

    def vectors(self, item: Any, index: int) -> Array:
        """Rows a, b, c; of a series of stills those of the image."""
        found = np.asarray(item[()], dtype=np.float64)
        return found[index] if found.ndim == 3 else found

    def flux(self, beam: Any, index: int) -> float | None:
        """[photons/s]; None where it is 0, or does not stand there by the second."""
        found = self.item(f"{beam.name}/total_flux")
        if found is None or text_of(found.attrs.get("units", "")).strip() not in _PER_SECOND:
            return None
        values = np.asarray(found[()], dtype=np.float64).reshape(-1)
        value = float(values[min(index, values.size - 1)]) if values.size else 0.0
        return value if 0 < value < np.inf else None

    def exposure(self, detector: Any) -> float | None:
        if "count_time" not in detector:
            return None
        place = f"{detector.name}/count_time"
        found = self.item(place)
        return None if found is None else float(self.value(place, SECONDS, "s").reshape(-1)[0]) or None

    def data_shape(self, entry: Any, detector: Any) -> tuple[int, int, int] | None:
        """(n, n_slow, n_fast) of the images; None: they are not there to ask."""
        shapes = []
        for group in (*self.of_class(entry, "NXdata"), detector.name):
            members = self.file[group]
            shapes += [item.shape for item in (self.item(f"{group}/{name}") for name in members)
                       if getattr(item, "ndim", 0) == 3]  # fmt: skip
            if shapes:
                break
        if not shapes:
            n = [self.item(f"{detector.name}/detectorSpecific/{name}") for name in ("nimages", "ntrigger")]
            if n[0] is None:
                return None
            counts = [1 if item is None else int(item[()]) for item in n]
            return max(1, counts[0] * counts[1]), 0, 0
        largest = max(shapes, key=lambda s: s[1] * s[2])
        return sum(s[0] for s in shapes if s[1:] == largest[1:]), largest[1], largest[2]

    def sensor(self, detector: Any) -> dict[str, Any]:
        place = f"{detector.name}/sensor_thickness"
        if "sensor_thickness" not in detector or self.optional(place, "the sensor") is None:
            return {}
        thickness = float(self.value(place, MILLIMETRES, "m").reshape(-1)[0])
        material = self.item(f"{detector.name}/sensor_material")
        if thickness < _NO_SENSOR_MM:
            return {}
        return {"thickness_mm": thickness, "material": "" if material is None else text_of(material[()])}

    def panels(self, detector: Any, index: int, shape: tuple[int, int, int] | None) -> list[Panel]:
        names = self.of_class(detector, "NXdetector_module")
        if not names:
            raise self.fail("holds no NXdetector_module", detector.name)
        mask, sensor, panels = self.mask(detector), self.sensor(detector), []
        titles, absorption = self.own("panel_names", len(names)), self.own("attenuation", len(names))
        for i, name in enumerate(names):
            n_slow, n_fast = (int(n) for n in self.need(f"{name}/data_size")[()][-2:])
            start_slow, start_fast = (int(n) for n in self.need(f"{name}/data_origin")[()][-2:])
            n_slow, n_fast = self.size(name, (n_slow, n_fast), (start_slow, start_fast), shape)
            axes, sizes, corner = [], [], np.zeros(3)
            for direction in ("fast", "slow"):
                place = f"{name}/{direction}_pixel_direction"
                item = self.need(place)
                sizes.append(float(self.value(place, MILLIMETRES).reshape(-1)[0]))
                matrix = self.chain(self.parent(place, item), index)
                axes.append(matrix[:3, :3] @ unit(item.attrs["vector"]))
                corner = matrix[:3, 3]
            part = None
            if mask is not None:
                part = mask[start_slow : start_slow + n_slow, start_fast : start_fast + n_fast] == 0
                if part.shape != (n_slow, n_fast):
                    raise self.fail(f"pixel_mask has shape {mask.shape}, the module lies outside", name)
            panels.append(panel_of(
                self.path, name, (sizes[0], sizes[1]), n_fast=n_fast, n_slow=n_slow, origin=corner, fast=axes[0],
                slow=axes[1], name=name.rpartition("/")[2] if titles is None else text_of(titles[i]),
                mask=None if part is None or part.all() else part,
                mu_per_mm=0.0 if absorption is None or not sensor else float(absorption[i]), **sensor,
            ))  # fmt: skip
        return panels

    def own(self, name: str, n: int) -> Any:
        """What these writers keep of every panel; None in files of others."""
        found = self.item(f"/entry/nanobragg/{name}")
        return found[()] if found is not None and found.shape == (n,) else None

    def size(
        self, name: str, size: tuple[int, int], start: tuple[int, int], shape: tuple[int, int, int] | None
    ) -> tuple[int, int]:
        """(n_slow, n_fast) of a module; some writers have it the wrong way round, which the images tell."""
        if size[0] == size[1]:
            return size
        if shape is None or not shape[1]:
            self.warn(f"{name}/data_size {size[0]} {size[1]}: is taken as (slow, fast); there are no images to compare")
            return size
        if all(start[i] + size[i] <= shape[i + 1] for i in (0, 1)):
            return size
        if all(start[i] + size[1 - i] <= shape[i + 1] for i in (0, 1)):
            self.warn(f"{name}/data_size {size[0]} {size[1]}: is the wrong way round, the images are {shape[1]} slow x "
                      f"{shape[2]} fast")  # fmt: skip
            return size[1], size[0]
        raise self.fail(
            f"data_size {size[0]} {size[1]} does not fit the images of {shape[1]} slow x {shape[2]} fast", name
        )

    def mask(self, detector: Any) -> Any:
        """Bits that are not 0 where a pixel is not to be used."""
        for name in ("pixel_mask", "pixel_mask_1", "detectorSpecific/pixel_mask"):
            found = self.optional(f"{detector.name}/{name}", "the mask")
            if found is not None and getattr(found, "ndim", 0) in (2, 3):
                mask = np.asarray(found[()] if found.ndim == 2 else found[0])
                return mask
        return None

    def axis(self, name: str, index: int) -> Array:
        """4 x 4 matrix of one axis at an image."""
        item = self.need(name)
        kind = text_of(item.attrs.get("transformation_type", ""))
        vector = np.asarray(item.attrs["vector"], dtype=np.float64)
        matrix = np.eye(4)
        if kind == "translation":
            values = self.value(name, MILLIMETRES).reshape(-1)
            matrix[:3, 3] = values[min(index, len(values) - 1)] * vector
        elif kind == "rotation":
            values = self.value(name, DEGREES).reshape(-1)
            matrix[:3, :3] = rotation(unit(vector), float(values[min(index, len(values) - 1)]))
        else:
            raise self.fail(f"transformation_type={kind!r}: must be translation or rotation", name)
        offset = np.asarray(item.attrs.get("offset", (0.0, 0.0, 0.0)), dtype=np.float64)
        if offset.any():
            fallback = item.attrs.get("units") if kind == "translation" else "m"
            shift = np.eye(4)
            shift[:3, 3] = offset * self.factor(name, item.attrs.get("offset_units", fallback), MILLIMETRES)
            matrix = shift @ matrix
        return matrix

    def links(self, name: str) -> list[str]:
        """An axis and everything that it depends on."""
        names: list[str] = []
        while name != ".":
            names.append(name)
            if len(names) > _MAX_CHAIN:
                raise self.fail("depends on itself", name)
            name = self.parent(name, self.need(name))
        return names

    def chain(self, name: str, index: int) -> Array:
        """Product of an axis and everything that it depends on."""
        matrix = np.eye(4)
        for step in self.links(name):
            matrix = self.axis(step, index) @ matrix
        return matrix

    def scan(self, entry: Any, index: int) -> dict[str, Any]:
        """Spindle, angle of the image, width and the rotation by the axes that are not scanned.

        What stands outside the scanned axis turns the spindle, what stands inside turns the crystal.
        """
        samples = self.of_class(entry, "NXsample")
        found = self.item(f"{samples[0]}/depends_on") if samples else None
        name = "." if found is None else text_of(found[()])
        if name == ".":
            return {}
        name = name if name.startswith("/") else f"{samples[0]}/{name}"
        turning = [step for step in self.links(name)
                   if text_of(self.need(step).attrs.get("transformation_type", "")) == "rotation"]  # fmt: skip
        if not turning:
            return {}
        starts = {step: self.value(step, DEGREES).reshape(-1) for step in turning}
        widths = {step: self.width(step, starts[step], index) for step in turning}
        moving = [step for step in turning if len(starts[step]) > 1 and np.ptp(starts[step]) > _TINY_DEG]
        moving = moving or [step for step in turning if abs(widths[step]) > _TINY_DEG] or turning[:1]
        if len(moving) > 1:
            raise self.fail(f"is scanned together with {', '.join(moving[1:])}; only one axis is read", moving[0])
        scanned = moving[0]
        place = turning.index(scanned)
        outer, inner = np.eye(3), np.eye(3)
        for step in turning[:place]:
            inner = self.axis(step, index)[:3, :3] @ inner
        for step in turning[place + 1 :]:
            outer = self.axis(step, index)[:3, :3] @ outer
        values, width = starts[scanned], widths[scanned]
        start = float(values[index]) if index < len(values) else float(values[0] + index * width)
        spindle = outer @ unit(self.need(scanned).attrs["vector"])
        spindle, start, width = forwards(spindle, start, width)
        angles = self.item("/entry/nanobragg/spindle_angle")
        if angles is not None and not width and index < angles.size:  # of a series of stills
            start = float(angles[index])
        return {"spindle": spindle, "phi_start": start, "osc": width or None, "mount": mounted(outer @ inner)}

    def width(self, name: str, starts: Array, index: int) -> float:
        """Of an image [degrees]: from its end, its increment or the start of the next."""
        units = text_of(self.need(name).attrs.get("units", "deg"))
        end, increment = self.item(f"{name}_end"), self.item(f"{name}_increment_set")
        if end is not None:
            ends = self.value(f"{name}_end", DEGREES, units, quiet=True).reshape(-1)
            return float(ends[min(index, len(ends) - 1)] - starts[min(index, len(starts) - 1)])
        if increment is not None:
            steps = self.value(f"{name}_increment_set", DEGREES, units, quiet=True).reshape(-1)
            return float(steps[min(index, len(steps) - 1)])
        return float(starts[1] - starts[0]) if len(starts) > 1 else 0.0

    def polarization(self, beam: Any) -> tuple[Array | None, float | None]:
        """Axis and Kahn factor of Stokes parameters (I, Q, U, V)."""
        for name in ("incident_polarisation_stokes", "incident_polarization_stokes"):
            if self.item(f"{beam.name}/{name}") is not None:
                stokes = np.asarray(beam[name][()], dtype=np.float64).reshape(-1, 4)[0]
                kahn = float(np.hypot(stokes[1], stokes[2]) / stokes[0])
                angle = np.arctan2(stokes[2], stokes[1]) / 2
                return np.array([np.cos(angle), np.sin(angle), 0.0]), min(1.0, kahn)
        return None, None

    def eiger(self, entry: Any, detector: Any, wavelength: float, index: int, n: int) -> Geometry:
        """A master file as the control unit of an Eiger writes it: a detector at right angles to the beam."""
        root = detector.name

        def number(name: str, units: Mapping[str, float] | None = None) -> float:
            found = self.value(f"{root}/{name}", units, "m") if units else np.asarray(self.need(f"{root}/{name}")[()])
            return float(np.asarray(found).reshape(-1)[0])

        size = [int(number(f"detectorSpecific/{axis}_pixels_in_detector")) for axis in "yx"]
        edges = number("x_pixel_size", MILLIMETRES), number("y_pixel_size", MILLIMETRES)
        center = number("beam_center_x") * edges[0], number("beam_center_y") * edges[1]
        mask = self.mask(detector)
        good = None if mask is None else mask == 0
        if good is not None and good.shape != (size[0], size[1]):
            raise self.fail(f"pixel_mask has shape {good.shape}, the detector {tuple(size)}", root)
        start = width = 0.0
        turned = []
        for place in self.eiger_angles(entry, detector):
            values = self.value(place, DEGREES, "deg", quiet=True).reshape(-1)
            if place.endswith("/omega"):
                increments = [f"{place}_increment", f"{place}_range_average"]
                steps = [float(self.value(p, DEGREES, "deg", quiet=True).reshape(-1)[0]) for p in increments
                         if self.item(p) is not None]  # fmt: skip
                width = steps[0] if steps else float(values[1] - values[0]) if len(values) > 1 else 0.0
                start = float(values[index]) if index < len(values) else float(values[0] + index * width)
            elif np.abs(values).max(initial=0.0) > _TINY_DEG:
                turned.append(f"{place} = {values[0]:g}")
        for place in turned:
            if "two_theta" in place:
                raise self.fail(f"{place} degrees: about an axis that the file does not name; take the geometry from an "
                                "experiment list (.expt)")  # fmt: skip
        if turned:
            self.warn(f"not used of the file: {', '.join(turned)}")
        found = flat(
            self.path, root, (size[0], size[1]), edges, center, number("detector_distance", MILLIMETRES),
            wavelength=wavelength, start=start, width=width, exposure_s=self.exposure(detector),
            mask=None if good is None or good.all() else good, **self.sensor(detector),
        )  # fmt: skip
        return dataclasses.replace(found, n_images=n)

    def eiger_angles(self, entry: Any, detector: Any) -> list[str]:
        """Places of the angles that may be there: omega, and those that have to be 0."""
        sample = [f"{entry.name}/sample/goniometer/{name}" for name in ("omega", "chi", "kappa", "phi", "chi_start",
                                                                        "kappa_start", "phi_start")]  # fmt: skip
        swing = [f"{detector.name}/goniometer/{name}" for name in ("two_theta", "two_theta_start")]
        return [place for place in (*sample, *swing) if self.item(place) is not None]
