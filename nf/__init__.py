"""nf: NeuralFlow from the command line. It knows the JSON API and nothing else of NeuralFlow.

    nf login --server http://127.0.0.1:8000
    nf task add "Train the baseline" --due fri --priority high
    nf task list
    nf task done 3

Start reading in `commands`; `client` speaks HTTP.
"""
