"""The course: predictions, exercises that check themselves, hints, and how far one is.

`notebooks/` teaches with it::

    predict("How many weights can go?", between=(0, 100), unit="%", truth=measured)
    check("02-threshold", threshold)  # says what is wrong, and not only that it is
    hint("02-threshold")  # one step further at each call
    solved()
"""

from prunevis.course import exercises
from prunevis.course.asking import Hint, Progress, Verdict, check, hint, solved
from prunevis.course.exercise import EXERCISES, Exercise
from prunevis.course.prediction import Prediction, predict

__all__ = [
    "EXERCISES",
    "Exercise",
    "Hint",
    "Prediction",
    "Progress",
    "Verdict",
    "check",
    "exercises",
    "hint",
    "predict",
    "solved",
]
