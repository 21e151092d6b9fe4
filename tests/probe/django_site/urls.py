from django.urls import include, path, re_path

from django_site import views

shop = [
    path("items/<int:item_id>/parts", views.parts),
    re_path(r"^archive/(?P<year>[0-9]{4})(?:/(?P<page>\d+))?/$", views.archive),
]

urlpatterns = [
    path("orders/<int:pk>/", views.order),
    path("shops/<slug:shop>/", include(shop)),
    path("write", views.write),
    path("boom", views.boom),
    path("denied", views.denied),
    path("missing/<int:pk>", views.missing),
    path("wait", views.wait),
    path("compute", views.compute),
    path("echo", views.echo),
    path("stream", views.stream),
    path("endless", views.endless),
    path("file", views.file),
    path("async/<int:pk>", views.asynchronous),
    path("fork", views.fork),
    path("process", views.process),
    path("command", views.command),
]
