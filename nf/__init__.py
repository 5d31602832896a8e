"""nf: the NeuralFlow command line. It uses only the JSON API.

    nf login --server http://127.0.0.1:8000
    nf task add "Train the baseline" --due fri --priority high
    nf task list
    nf task done 3

Start reading in `commands`. `client` implements HTTP.
"""
