"""All pictures of the book, in reading order."""

from minirl.pictures import on_play

PICTURES = on_play.ON_PLAY
