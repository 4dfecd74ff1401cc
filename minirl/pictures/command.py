"""The command `minirl figures`: draw the pictures of the book."""

import os
from importlib import import_module

from minirl.console import did_you_mean, file_name, progress
from minirl.files import make_folder, write_bytes

FIGURES = ("The pictures of the book as PNG files, each from a seed.  Without --plot they are "
           "listed.  Needs the extra 'plot'.")


def add_figures_arguments(parser):
    """The arguments of `minirl figures`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="one picture (all)")
    parser.add_argument("--plot", type=file_name, metavar="DIR", help="write PNG files there")


def figures(arguments):
    """List or draw.  ValueError for what the user can mend."""
    try:
        pictures = import_module("minirl.pictures.gallery").PICTURES
        style = import_module("minirl.lab.style")
    except ImportError as error:  # of an extra
        raise ValueError(f"pictures cannot be drawn: {error}") from None
    chosen = {picture.name: picture for picture in pictures}
    if arguments.name is not None:
        if arguments.name not in chosen:
            raise ValueError(f"there is no picture {arguments.name!r}"
                             f"{did_you_mean(arguments.name, chosen)} (a list: minirl figures)")
        chosen = {arguments.name: chosen[arguments.name]}
    if arguments.plot is None:
        width = max(map(len, chosen))
        for name, picture in chosen.items():
            print(f"{name:{width}}  {picture.finding} ({picture.chapter})")
        return
    make_folder(arguments.plot)
    for number, (name, picture) in enumerate(chosen.items(), 1):
        progress(f"figures: {number} of {len(chosen)}, {name}")
        path = os.path.join(arguments.plot, f"{name}.png")
        write_bytes(path, style.png(style.titled(picture, picture.data(0))))
        progress("")
        print(path)
