"""The exercises, one file a notebook; importing them files them in `EXERCISES`."""

from prunevis.course.exercises import activations, criteria, magnitude, parts, redundancy, start

__all__ = ["activations", "criteria", "magnitude", "parts", "redundancy", "start"]
