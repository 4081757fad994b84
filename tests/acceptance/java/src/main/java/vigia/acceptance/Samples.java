package vigia.acceptance;

import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import javax.imageio.ImageIO;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.lookoutvision.LookoutVisionClient;
import software.amazon.awssdk.services.lookoutvision.model.Anomaly;
import software.amazon.awssdk.services.lookoutvision.model.DatasetDescription;
import software.amazon.awssdk.services.lookoutvision.model.DatasetStatus;
import software.amazon.awssdk.services.lookoutvision.model.DetectAnomalyResult;
import software.amazon.awssdk.services.lookoutvision.model.ModelDescription;
import software.amazon.awssdk.services.lookoutvision.model.ModelMetadata;
import software.amazon.awssdk.services.lookoutvision.model.ModelStatus;
import software.amazon.awssdk.services.lookoutvision.model.ProjectMetadata;

/**
 * What the guide's Java samples do, call by call, written anew. A status that the sample would take for a failure is
 * one; only the pauses are shorter.
 */
final class Samples {
    private static final long PAUSE = 1000;
    private static final long PATIENCE = 420_000;

    private final LookoutVisionClient client;

    Samples(LookoutVisionClient client) {
        this.client = client;
    }

    private static <T> List<String> watched(Supplier<T> look, Set<T> busy, T done) throws InterruptedException {
        List<String> seen = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE * 1_000_000;
        while (true) {
            T status = look.get();
            if (seen.isEmpty() || !seen.get(seen.size() - 1).equals(status.toString())) {
                seen.add(status.toString());
            }
            if (status.equals(done)) {
                return seen;
            }
            if (!busy.contains(status)) {
                throw new IllegalStateException("unexpected status: " + seen);
            }
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("for too long: " + seen);
            }
            Thread.sleep(PAUSE);
        }
    }

    private DatasetDescription dataset(String project, String kind) {
        return client.describeDataset(r -> r.projectName(project).datasetType(kind)).datasetDescription();
    }

    private ModelDescription model(String project, String version) {
        return client.describeModel(r -> r.projectName(project).modelVersion(version)).modelDescription();
    }

    /** JV-01, JV-12: every project, through the paginator. */
    Map<String, Object> listProjects() {
        Map<String, Object> found = new LinkedHashMap<>();
        for (ProjectMetadata project : client.listProjectsPaginator(r -> r.maxResults(100)).projects()) {
            Objects.requireNonNull(project.creationTimestamp());
            found.put(project.projectName(), project.projectArn());
        }
        return found;
    }

    /** JV-02. */
    String createProject(String project) {
        return client.createProject(r -> r.projectName(project)).projectMetadata().projectArn();
    }

    /** JV-03: from a manifest, or empty where bucket and manifest are null. */
    List<String> createDataset(String project, String kind, String bucket, String manifest) throws InterruptedException {
        if (bucket != null && manifest != null) {
            client.createDataset(r -> r.projectName(project).datasetType(kind).datasetSource(
                    s -> s.groundTruthManifest(m -> m.s3Object(o -> o.bucket(bucket).key(manifest)))));
        } else {
            client.createDataset(r -> r.projectName(project).datasetType(kind));
        }
        return watched(() -> dataset(project, kind).status(), Set.of(DatasetStatus.CREATE_IN_PROGRESS),
                DatasetStatus.CREATE_COMPLETE);
    }

    /** JV-04: version and statuses. */
    Map<String, Object> createModel(String project, String description, String bucket, String folder)
            throws InterruptedException {
        ModelMetadata made = client.createModel(r -> r.projectName(project).description(description).outputConfig(
                c -> c.s3Location(l -> l.bucket(bucket).prefix(folder)))).modelMetadata();
        List<String> statuses = watched(() -> model(project, made.modelVersion()).status(),
                Set.of(ModelStatus.TRAINING), ModelStatus.TRAINED);
        return Map.of("version", made.modelVersion(), "arn", made.modelArn(), "statuses", statuses,
                "description", model(project, made.modelVersion()).description());
    }

    /** JV-05. */
    Map<String, Object> startModel(String project, String version, int least, Integer most)
            throws InterruptedException {
        String answer = client.startModel(r -> r.projectName(project).modelVersion(version).minInferenceUnits(least)
                .maxInferenceUnits(most)).statusAsString();
        List<String> statuses = watched(() -> model(project, version).status(),
                Set.of(ModelStatus.STARTING_HOSTING), ModelStatus.HOSTED);
        return Map.of("answer", answer, "statuses", statuses, "message", model(project, version).statusMessage());
    }

    /** JV-06. */
    Map<String, Object> stopModel(String project, String version) throws InterruptedException {
        String answer = client.stopModel(r -> r.projectName(project).modelVersion(version)).statusAsString();
        List<String> statuses = watched(() -> model(project, version).status(),
                Set.of(ModelStatus.STOPPING_HOSTING), ModelStatus.TRAINED);
        return Map.of("answer", answer, "statuses", statuses);
    }

    /** JV-07. */
    DetectAnomalyResult detect(String project, String version, Path photograph) throws IOException {
        byte[] data = Files.readAllBytes(photograph);
        String type = data[0] == (byte) 0x89 ? "image/png" : "image/jpeg";
        return client.detectAnomalies(r -> r.projectName(project).modelVersion(version).contentType(type),
                RequestBody.fromBytes(data)).detectAnomalyResult();
    }

    /** JV-08. */
    static boolean rejectOnClassification(DetectAnomalyResult result, float limit) {
        return result.isAnomalous() && result.confidence() >= limit;
    }

    /** JV-09: at the limit is enough here. */
    static boolean rejectOnCoverage(DetectAnomalyResult result, float limit, String label, float coverage) {
        return rejectOnClassification(result, limit) && result.anomalies().stream().anyMatch(
                a -> a.name().equals(label) && a.pixelAnomaly().totalPercentageArea() >= coverage);
    }

    /** JV-10: distinct names without the background. */
    static boolean rejectOnTypes(DetectAnomalyResult result, float limit, int most) {
        int names = result.anomalies().stream().map(Anomaly::name).collect(Collectors.toSet()).size();
        return rejectOnClassification(result, limit) && names - 1 > most;
    }

    /** JV-11: the viewer without its window. Mask and image must have one size; colours must be Java's. */
    Map<String, Object> view(DetectAnomalyResult result, Path photograph) throws IOException {
        BufferedImage image = ImageIO.read(photograph.toFile());
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("image", List.of(image.getWidth(), image.getHeight()));
        if (result.anomalyMask() != null) {
            BufferedImage mask = ImageIO.read(new ByteArrayInputStream(result.anomalyMask().asByteArray()));
            told.put("mask", List.of(mask.getWidth(), mask.getHeight()));
            image.createGraphics().drawImage(mask, 0, 0, null);
        }
        Map<String, Object> areas = new LinkedHashMap<>();
        for (Anomaly anomaly : result.anomalies()) {
            if (!anomaly.name().equals("background")) {
                Color color = Color.decode(anomaly.pixelAnomaly().color());
                areas.put(anomaly.name(), List.of(anomaly.pixelAnomaly().totalPercentageArea(),
                        List.of(color.getRed(), color.getGreen(), color.getBlue())));
            }
        }
        told.put("areas", areas);
        return told;
    }

    /** JV-13. */
    String deleteProject(String project) {
        return client.deleteProject(r -> r.projectName(project)).projectArn();
    }

    /** JV-14. */
    Map<String, Object> describeDataset(String project, String kind) {
        DatasetDescription found = dataset(project, kind);
        return Map.of("project", found.projectName(), "kind", found.datasetType(), "status",
                found.statusAsString(), "message", found.statusMessage(), "created",
                found.creationTimestamp().toString(), "total", found.imageStats().total(), "labeled",
                found.imageStats().labeled(), "normal", found.imageStats().normal(), "anomaly",
                found.imageStats().anomaly());
    }

    /** JV-15. */
    List<String> updateEntries(String project, String kind, String lines) throws InterruptedException {
        client.updateDatasetEntries(r -> r.projectName(project).datasetType(kind)
                .changes(SdkBytes.fromString(lines, StandardCharsets.UTF_8)));
        return watched(() -> dataset(project, kind).status(),
                Set.of(DatasetStatus.UPDATE_IN_PROGRESS, DatasetStatus.UPDATE_FAILED_ROLLBACK_IN_PROGRESS),
                DatasetStatus.UPDATE_COMPLETE);
    }

    /** JV-16. */
    void deleteDataset(String project, String kind) throws InterruptedException {
        client.deleteDataset(r -> r.projectName(project).datasetType(kind));
        watched(() -> client.describeProject(r -> r.projectName(project)).projectDescription().datasets().stream()
                .anyMatch(d -> d.datasetType().equals(kind)), Set.of(true), false);
    }

    /** JV-17. */
    List<Object> listModels(String project) {
        List<Object> found = new ArrayList<>();
        for (ModelMetadata model : client.listModels(r -> r.projectName(project)).models()) {
            found.add(Map.of("arn", model.modelArn(), "version", model.modelVersion(), "status",
                    model.statusAsString(), "message", model.statusMessage()));
        }
        return found;
    }

    /** JV-18: until the version is in no list any more. */
    void deleteModel(String project, String version) throws InterruptedException {
        client.deleteModel(r -> r.projectName(project).modelVersion(version));
        watched(() -> client.listModels(r -> r.projectName(project)).models().stream()
                .anyMatch(m -> m.modelVersion().equals(version)), Set.of(true), false);
    }
}
