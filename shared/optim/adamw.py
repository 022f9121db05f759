"""Paddle's AdamW by the name that the loop knows.

Its CPU kernel keeps Python's lock, so two threads that update parameters of their own take as long as one (9 million weights twice: 57 ms and
58), and a second thread that calls Paddle makes OpenMP's waiting threads yield all the time.
"""

import paddle

AdamW = paddle.optimizer.AdamW
