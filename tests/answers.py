"""What the lines of the exercises print, three for each chapter."""

ANSWERS = {
    "introduction": ["0.015625", "np.float64(7.723)", "np.float64(-2.0794415416798357)"],
}
