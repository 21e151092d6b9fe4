"""
A load file with every kind of body and of value, for the tests of load.

In        nothing
Out       its text
Not here  what is drawn from it (test_traffic_plan.py), sending that (test_traffic.py)
"""

SHOP = """
rate = 20.0
[[routes]]
weight = 30
path = "/customers/{customer}/orders"
[routes.values.customer]
from = 1
to = 50000
skew = 1.1
[[routes]]
weight = 10
method = "post"
path = "/checkout"
headers = { Accept-Language = "{language}" }
form = { customer = "{customer}", note = "a & {customer}" }
[routes.values.customer]
from = 1
to = 9
[routes.values.language]
values = ["en", "de"]
[[routes]]
weight = 10
method = "PUT"
path = "/carts/{customer}"
json = { customer = "{customer}", lines = [{ product = "p-{product}", count = 2, gift = false }] }
[routes.values.customer]
from = 1
to = 9
[routes.values.product]
from = 7
to = 7
"""
