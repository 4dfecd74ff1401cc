"""All pictures of the book, in reading order."""

from minirl.pictures import on_beyond, on_people, on_play, on_worlds

PICTURES = (on_worlds.ON_WORLDS + on_play.ON_PLAY + on_people.ON_PEOPLE
            + on_beyond.BEYOND_PICTURES)
