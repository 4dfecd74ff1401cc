"""Two pages that are made from all chapters: the book on one page, and the list of exercises."""

from rendering.prose import blocks, equation, inline, plain_html, tag_of


def one_page(book, chapters):
    """Every chapter with its question and its tagged equations: Markdown."""
    out = ["---\nhide-toc: true\n---", "# The book on one page",
           "Each chapter is a question.  Below stands every equation of it that has a tag; the "
           "name leads to the chapter, and the tag to the code and the tests."]
    for module in chapters:
        links = book.links("chapters/one_page")
        question = inline(module.title.replace("\n", " "), links)
        out.append(f'## <a href="../{module.page}.html">{module.name}</a>\n\n{question}')
        for kind, lines in blocks(module.text):
            lines = [line[4:] for line in lines] if kind == "shown" else []
            if any(tag_of(line)[1] for line in lines):
                shown = equation(lines, links).replace(' id="', ' data-tag="')
                out.append(f'<div class="display">\n{shown}\n</div>')
    return "\n\n".join(out) + "\n"


def exercise_list(book, exercises):
    """Every exercise with its task and the mistakes that are known to it: Markdown."""
    links, chapter = book.links("chapters/exercise_list"), None
    out = ["# All exercises", f"There are {len(exercises)}, in reading order, and "
           f"{sum(len(one.mistakes) for one in exercises)} mistakes that are told from each "
           "other.  `minirl exercise NAME` begins one; `minirl exercise --break NAME.MISTAKE` puts "
           "a mistake into the book."]
    for one in exercises:
        if one.chapter != chapter:
            chapter = one.chapter
            name = chapter.rpartition(".")[2]
            out.append(f'## <a href="minirl/{chapter.replace(".", "/")}.html">{name}</a>')
        mistakes = "".join(f"<dt><code>{mistake.name}</code></dt>"
                           f"<dd>{plain_html(mistake.says)}</dd>" for mistake in one.mistakes)
        out.append(f"**{one.name}**: {inline(one.task, links)}\n\n"
                   f'<details class="answer"><summary>{len(one.mistakes)} mistakes</summary>'
                   f"<dl>{mistakes}</dl></details>")
    return "\n\n".join(out) + "\n"
