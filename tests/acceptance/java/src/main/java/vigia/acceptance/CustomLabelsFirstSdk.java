package vigia.acceptance;

import com.amazonaws.auth.profile.ProfileCredentialsProvider;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.rekognition.AmazonRekognition;
import com.amazonaws.services.rekognition.AmazonRekognitionClientBuilder;
import com.amazonaws.services.rekognition.model.CustomLabel;
import com.amazonaws.services.rekognition.model.DetectCustomLabelsRequest;
import com.amazonaws.services.rekognition.model.Image;
import com.amazonaws.services.rekognition.model.S3Object;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3ClientBuilder;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import software.amazon.awssdk.profiles.Profile;
import software.amazon.awssdk.profiles.ProfileFile;

/** J-07, for the SDK for Java 1: the viewer without its window. That SDK knows no endpoints of profiles: it is told. */
final class CustomLabelsFirstSdk implements AutoCloseable {
    private static final float MIN_CONFIDENCE = 50;

    private final AmazonRekognition client;
    private final AmazonS3 s3;

    CustomLabelsFirstSdk(String name) {
        ProfileFile file = ProfileFile.defaultProfileFile();
        Profile profile = file.profile(name).orElseThrow();
        Profile services = file.getSection("services", profile.property("services").orElseThrow()).orElseThrow();
        String region = profile.property("region").orElseThrow();
        ProfileCredentialsProvider credentials =
                new ProfileCredentialsProvider(System.getenv("AWS_SHARED_CREDENTIALS_FILE"), name);
        client = AmazonRekognitionClientBuilder.standard().withCredentials(credentials)
                .withEndpointConfiguration(endpoint(services, "rekognition", region)).build();
        s3 = AmazonS3ClientBuilder.standard().withCredentials(credentials).withPathStyleAccessEnabled(true)
                .withEndpointConfiguration(endpoint(services, "s3", region)).build();
    }

    private static EndpointConfiguration endpoint(Profile services, String service, String region) {
        return new EndpointConfiguration(services.property(service + ".endpoint_url").orElseThrow(), region);
    }

    /** Of a local image. */
    Map<String, Object> show(String model, Path photograph) throws IOException {
        byte[] bytes = Files.readAllBytes(photograph);
        return show(model, ImageIO.read(new ByteArrayInputStream(bytes)),
                new Image().withBytes(ByteBuffer.wrap(bytes)));
    }

    /** Of an image in a bucket. */
    Map<String, Object> show(String model, String bucket, String key) throws IOException {
        try (InputStream content = s3.getObject(bucket, key).getObjectContent()) {
            return show(model, ImageIO.read(content),
                    new Image().withS3Object(new S3Object().withBucket(bucket).withName(key)));
        }
    }

    private Map<String, Object> show(String model, BufferedImage shown, Image image) {
        List<Object> labels = new ArrayList<>();
        for (CustomLabel label : client.detectCustomLabels(new DetectCustomLabelsRequest()
                .withProjectVersionArn(model).withImage(image).withMinConfidence(MIN_CONFIDENCE)).getCustomLabels()) {
            labels.add(List.of(label.getName(), label.getConfidence(), label.getGeometry() != null));
        }
        return Map.of("size", List.of(shown.getWidth(), shown.getHeight()), "labels", labels);
    }

    @Override
    public void close() {
        client.shutdown();
        s3.shutdown();
    }
}
